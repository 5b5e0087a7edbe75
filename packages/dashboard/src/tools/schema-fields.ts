import type { Json } from '@skein/protocol';

/** One input of a tool as a form shows it. */
export interface Field {
  readonly name: string;
  readonly kind: 'text' | 'number' | 'integer' | 'boolean' | 'choice' | 'json';
  readonly choices: readonly string[];
  readonly description: string | null;
  readonly isRequired: boolean;
  readonly initial: string;
}

type Schema = { readonly [key: string]: Json };

/** The fields of an object schema; what no simple field can hold is written as JSON. */
export function fieldsOf(schema: Schema): Field[] {
  const required = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries(objectIn(schema.properties)).map(([name, property]) => {
    const own = objectIn(property);
    const kind = kindOf(own);
    const fallback = own.default;
    return {
      name,
      kind,
      choices: kind === 'choice' && Array.isArray(own.enum) ? own.enum.map(String) : [],
      description: typeof own.description === 'string' ? own.description : null,
      isRequired: required.includes(name) && fallback === undefined,
      initial: fallback === undefined ? '' : typeof fallback === 'string' ? fallback : JSON.stringify(fallback),
    };
  });
}

function kindOf(schema: Schema): Field['kind'] {
  if (Array.isArray(schema.enum) && schema.enum.every((choice) => typeof choice === 'string')) return 'choice';
  switch (schema.type) {
    case 'string':
      return 'text';
    case 'number':
    case 'integer':
    case 'boolean':
      return schema.type;
    default:
      return 'json';
  }
}

function objectIn(value: Json | undefined): Schema {
  // Proven: what is an object and no array is a record of JSON.
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as Schema) : {};
}

export type FormResult =
  | { readonly ok: true; readonly input: Record<string, unknown> }
  | { readonly ok: false; readonly problems: Readonly<Record<string, string>> };

/** What was written in the fields as a tool's input. An empty field that may be left out is left out. */
export function inputFrom(fields: readonly Field[], written: Readonly<Record<string, string>>): FormResult {
  const input: Record<string, unknown> = {};
  const problems: Record<string, string> = {};
  for (const field of fields) {
    const text = written[field.name] ?? field.initial;
    if (text.trim() === '') {
      if (field.isRequired && field.kind === 'boolean') input[field.name] = false;
      else if (field.isRequired) problems[field.name] = 'Needed';
      continue;
    }
    const value = writtenValue(field, text);
    if (value === undefined)
      problems[field.name] =
        field.kind === 'json' ? 'Not JSON' : `Not ${field.kind === 'integer' ? 'a whole number' : 'a number'}`;
    else input[field.name] = value;
  }
  return Object.keys(problems).length === 0 ? { ok: true, input } : { ok: false, problems };
}

function writtenValue(field: Field, text: string): unknown {
  switch (field.kind) {
    case 'text':
    case 'choice':
      return text;
    case 'boolean':
      return text === 'true';
    case 'number':
    case 'integer': {
      const number = Number(text);
      return Number.isFinite(number) && (field.kind === 'number' || Number.isInteger(number)) ? number : undefined;
    }
    case 'json':
      return parseOrUndefined(text);
  }
}

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // What does not parse is shown beside the field.
    return undefined;
  }
}

/** A tool's whole input written as JSON. */
export function inputFromJson(text: string): FormResult {
  const value = text.trim() === '' ? {} : parseOrUndefined(text);
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    return { ok: false, problems: { json: 'Write a JSON object, like {"path": "/"}' } };
  }
  return { ok: true, input: { ...value } };
}
