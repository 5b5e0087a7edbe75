import { z } from 'zod';

/** A schema without its default, optional, nullable or read-only cover. */
export function uncover(schema: unknown): unknown {
  if (
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodReadonly
  ) {
    return uncover(schema.def.innerType);
  }
  return schema instanceof z.ZodPipe ? uncover(schema.def.in) : schema;
}

/** The keys that may stand at a path; of a union, those of all its members. */
export function knownKeys(schema: unknown, path: readonly PropertyKey[]): readonly string[] {
  return [
    ...new Set(schemasAt(schema, path).flatMap((found) => (found instanceof z.ZodObject ? Object.keys(found.shape) : []))),
  ];
}

function schemasAt(schema: unknown, path: readonly PropertyKey[]): readonly unknown[] {
  const bare = uncover(schema);
  if (bare instanceof z.ZodUnion) return bare.options.flatMap((option) => schemasAt(option, path));
  const [head, ...rest] = path;
  if (head === undefined) return [bare];
  if (bare instanceof z.ZodArray) return schemasAt(bare.element, rest);
  if (bare instanceof z.ZodRecord) return schemasAt(bare.valueType, rest);
  if (!(bare instanceof z.ZodObject) || !Object.hasOwn(bare.shape, head)) return [];
  return schemasAt(Reflect.get(bare.shape, head), rest);
}
