import styles from './tool-name.module.css';

/** A tool by its full name, the machine that runs it apart. */
export function ToolName({ name, peer }: { readonly name: string; readonly peer: string | null }) {
  const bare = peer !== null && name.startsWith(`${peer}/`) ? name.slice(peer.length + 1) : name;
  return (
    <span className={styles.name}>
      {peer !== null && (
        <>
          <span className={styles.peer}>{peer}</span>
          <span className="visually-hidden">/</span>
        </>
      )}
      <span className={styles.tool}>{bare}</span>
    </span>
  );
}
