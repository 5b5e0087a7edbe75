import type { Migration } from '@skein/engine';

/** The table of `ChatStore`. */
export const chatMigrations: readonly Migration[] = [
  {
    component: 'peer-chat',
    version: 1,
    sql: `
      CREATE TABLE peer_messages (
        num INTEGER PRIMARY KEY,
        peer TEXT NOT NULL,
        direction TEXT NOT NULL,
        id TEXT NOT NULL,
        at_ms INTEGER NOT NULL,
        state TEXT NOT NULL,
        problem TEXT,
        body TEXT NOT NULL,
        sum INTEGER NOT NULL,
        UNIQUE (peer, direction, id)
      ) STRICT;
      CREATE INDEX peer_messages_of ON peer_messages (peer, num);
      CREATE INDEX peer_messages_waiting ON peer_messages (peer, num) WHERE state = 'waiting';
      CREATE INDEX peer_messages_age ON peer_messages (at_ms);
    `,
  },
];
