import { openDiskRecord } from '@skein/testing';
import { openItems, writeItem } from './disk-life.ts';

/** Run by the test of power cuts: one life of a database, which notes in the record of the disk what it acknowledged. */
const [path = '', record = ''] = process.argv.slice(2);
const GROUPS = 30;

const tell = openDiskRecord(record);
using database = openItems(path);
const next = Number(database.get('SELECT coalesce(max(id), 0) + 1 AS next FROM items')?.next);
for (let group = 0, id = next; group < GROUPS; group += 1) {
  const size = 1 + (group % 5);
  const ids = Array.from({ length: size }, (_, index) => id + index);
  id += size;
  await Promise.all(ids.map((one) => writeItem(database, one).then(() => tell(String(one)))));
}
