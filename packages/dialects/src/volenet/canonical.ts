/** What the signed text of a message is made of. */
export interface SignedParts {
  readonly id: string;
  readonly type: string;
  readonly from: string;
  readonly to: string;
  readonly timestamp: number;
}

/**
 * JSON without white space, the keys of every object in the order of their UTF-16 code units. For values that came out
 * of JSON.parse, or could have: a member that is undefined is left out, an undefined item is null.
 */
export function canonicalJson(value: unknown): string {
  // What was written in this form is in this order when it is read, and then Node's writer does it several times faster.
  return isInOrder(value) ? (JSON.stringify(value) ?? 'null') : writeInOrder(value);
}

/** Whether the keys of every object in it come in the order they are to be written. */
function isInOrder(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  if (Array.isArray(value)) return value.every(isInOrder);
  let last = '';
  for (const key of Object.keys(value)) {
    if (key < last || !isInOrder(Reflect.get(value, key))) return false;
    last = key;
  }
  return true;
}

function writeInOrder(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) {
    let items = '';
    for (const item of value) items += `${items === '' ? '' : ','}${writeInOrder(item)}`;
    return `[${items}]`;
  }
  let members = '';
  for (const key of Object.keys(value).sort()) {
    const member: unknown = Reflect.get(value, key);
    if (member === undefined) continue;
    members += `${members === '' ? '' : ','}${JSON.stringify(key)}:${writeInOrder(member)}`;
  }
  return `{${members}}`;
}

/**
 * The text that is signed, given the canonical JSON of the payload, empty for none. It joins its fields with colons,
 * which also stand in types: it means one thing only where ids hold none, which the door makes sure of.
 */
export function signedText(parts: SignedParts, canonicalPayload: string): string {
  return `2:${parts.id}:${parts.type}:${parts.from}:${parts.to}:${parts.timestamp}:${canonicalPayload}`;
}

/** The canonical JSON of a payload as it stands in the signed text: nothing for null or none. */
export function canonicalPayload(payload: unknown): string {
  return payload === undefined || payload === null ? '' : canonicalJson(payload);
}
