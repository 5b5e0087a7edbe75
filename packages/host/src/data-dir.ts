import { join } from 'node:path';

/** Where a node keeps what is its own. Every file is readable by its owner alone. */
export interface DataDir {
  readonly root: string;
  /** Who it trusts, with what. */
  readonly authorizedPeers: string;
  /** Which key answered at which address. */
  readonly knownNodes: string;
  /** Folder of the invitations that were made and not used yet. */
  readonly invites: string;
  /** Sessions and memory. */
  readonly database: string;
  /** What speaking VoleNet needs: further keys, and what must not be heard again. */
  readonly volenet: string;
  /** The term and the vote of the election of a leader. */
  readonly election: string;
  /** The bearer token of the page and the API. */
  readonly token: string;
  /** Which process runs this node now, and where. */
  readonly running: string;
  /** The tools each peer showed last, to notice a change. */
  readonly knownTools: string;
  /** The tools each server of MCP showed last, likewise. */
  readonly knownMcpTools: string;
  /** What was refused and what was done for others. */
  readonly audit: string;
  /** Where the audit ended when it was last looked at, signed, to notice what is taken off it. */
  readonly auditEnd: string;
  /** The checkpoints of that log which peers keep for this node. */
  readonly auditWitnesses: string;
  /** The checkpoints of peers' logs which this node keeps for them. */
  readonly heldCheckpoints: string;
  /** Folder of the revocation lists: this node's own, and those it follows. */
  readonly revocations: string;
  /** Plug-ins: one file a tool. */
  readonly tools: string;
}

/** The places inside a data directory. Makes nothing. */
export function dataDir(root: string): DataDir {
  return {
    root,
    authorizedPeers: join(root, 'authorized_peers'),
    knownNodes: join(root, 'known_nodes'),
    invites: join(root, 'invites'),
    database: join(root, 'node.db'),
    volenet: join(root, 'volenet'),
    election: join(root, 'election.json'),
    token: join(root, 'page_token'),
    running: join(root, 'running.json'),
    knownTools: join(root, 'known_tools.json'),
    knownMcpTools: join(root, 'known_mcp_tools.json'),
    audit: join(root, 'audit.jsonl'),
    auditEnd: join(root, 'audit.end'),
    auditWitnesses: join(root, 'audit.witnesses'),
    heldCheckpoints: join(root, 'held_checkpoints'),
    revocations: join(root, 'revocations'),
    tools: join(root, 'tools'),
  };
}
