import { z } from 'zod';

/** A schema that is nested deeper is not looked into. */
const MAX_DEPTH = 12;
/** Ways a value may be; of more, none is tried. */
const MAX_WAYS = 16;

type Primitive = string | number | boolean | null;

/** Where in a schema something stands. */
interface Place {
  readonly depth: number;
  /** It is tried for each of many values, or beside others: then no more ways are tried below, whose product is the cost. */
  readonly often: boolean;
}

/**
 * What a server's JSON Schema for a tool's input says of it, as far as it is understood: types, fields, lists, bounds,
 * closed sets, and a choice of a few. Whatever else it says counts as anything, so that nothing is refused that the server
 * would take. Its patterns are not run, since what they cost is the server's to choose, nor its references followed.
 */
export function inputSchemaOf(schema: Readonly<Record<string, unknown>>): z.ZodObject {
  return objectOf(schema, { depth: 0, often: false });
}

function schemaOf(schema: unknown, place: Place): z.ZodType {
  if (!isRecord(schema) || place.depth > MAX_DEPTH || '$ref' in schema || schema.nullable === true) return z.unknown();
  if ('const' in schema) return valuesOf([schema.const]);
  if ('enum' in schema) return valuesOf(schema.enum);
  const { type } = schema;
  if (Array.isArray(type)) {
    return choiceOf(
      type.map((one) => ({ ...schema, type: one })),
      place,
    );
  }
  const ways = schema.anyOf ?? schema.oneOf;
  if (type === undefined && Array.isArray(ways)) return choiceOf(ways, place);
  return typeOf(schema, place);
}

function typeOf(schema: Readonly<Record<string, unknown>>, place: Place): z.ZodType {
  switch (schema.type) {
    case 'string':
      return z.string().min(countOf(schema.minLength) ?? 0);
    case 'integer':
      // Not `z.int()`, which refuses what is beyond the safe ones.
      return numberOf(schema).refine(Number.isInteger, 'expected a whole number');
    case 'number':
      return numberOf(schema);
    case 'boolean':
      return z.boolean();
    case 'null':
      return z.null();
    case 'array':
      return arrayOf(schema, place);
    case 'object':
      return objectOf(schema, place);
    default:
      return z.unknown();
  }
}

function numberOf({ minimum, maximum, exclusiveMinimum, exclusiveMaximum }: Readonly<Record<string, unknown>>): z.ZodNumber {
  let bounded = z.number();
  if (typeof minimum === 'number') bounded = bounded.min(minimum);
  if (typeof maximum === 'number') bounded = bounded.max(maximum);
  if (typeof exclusiveMinimum === 'number') bounded = bounded.gt(exclusiveMinimum);
  return typeof exclusiveMaximum === 'number' ? bounded.lt(exclusiveMaximum) : bounded;
}

function arrayOf({ items, minItems, maxItems }: Readonly<Record<string, unknown>>, { depth }: Place): z.ZodType {
  return z
    .array(schemaOf(items, { depth: depth + 1, often: true }))
    .min(countOf(minItems) ?? 0)
    .max(countOf(maxItems) ?? Number.MAX_SAFE_INTEGER);
}

function objectOf(schema: Readonly<Record<string, unknown>>, { depth, often }: Place): z.ZodObject {
  const properties = isRecord(schema.properties) ? schema.properties : {};
  const required = new Set(Array.isArray(schema.required) ? schema.required.filter((name) => typeof name === 'string') : []);
  const shape: Record<string, z.ZodType> = {};
  for (const name of new Set([...Object.keys(properties), ...required])) {
    // An object cannot have it as a field of its own here.
    if (name === '__proto__') continue;
    const field = Object.hasOwn(properties, name) ? schemaOf(properties[name], { depth: depth + 1, often }) : z.unknown();
    shape[name] = required.has(name) ? field.refine((value) => value !== undefined, 'is missing') : field.optional();
  }
  const { additionalProperties: more } = schema;
  // A pattern could let in what the names do not.
  if ('patternProperties' in schema) return z.looseObject(shape);
  if (more === false) return z.strictObject(shape);
  return isRecord(more) ? z.object(shape).catchall(schemaOf(more, { depth: depth + 1, often: true })) : z.looseObject(shape);
}

function choiceOf(ways: readonly unknown[], { depth, often }: Place): z.ZodType {
  if (often || ways.length === 0 || ways.length > MAX_WAYS) return z.unknown();
  return z.union(ways.map((way) => schemaOf(way, { depth: depth + 1, often: true })));
}

/** One of these, where all of them can be told apart by themselves. */
function valuesOf(values: unknown): z.ZodType {
  return Array.isArray(values) && values.length > 0 && values.every(isPrimitive) ? z.literal(values) : z.unknown();
}

function countOf(value: unknown): number | undefined {
  return Number.isSafeInteger(value) ? Number(value) : undefined;
}

function isPrimitive(value: unknown): value is Primitive {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
