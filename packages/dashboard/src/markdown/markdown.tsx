import { Children, memo, type ReactNode } from 'react';
import styles from './markdown.module.css';
import { type Block, type Inline, parseMarkdown } from './parse-markdown.ts';

/** Longer answers are shown as they are. */
const MAX_FORMATTED = 60_000;

/** An answer's Markdown. Whatever a model writes becomes text in elements of this file's choosing, never HTML. */
export const Markdown = memo(function Markdown({ text }: { readonly text: string }) {
  if (text.length > MAX_FORMATTED) return <pre className={styles.plain}>{text}</pre>;
  return <div className={styles.markdown}>{inOrder(parseMarkdown(text), viewBlock)}</div>;
});

/** An answer only grows at its end and is never reordered, so a piece's place is its identity. */
function inOrder<T>(pieces: readonly T[], view: (piece: T) => ReactNode): ReactNode {
  return Children.toArray(pieces.map((piece) => view(piece)));
}

function viewBlock(block: Block): ReactNode {
  switch (block.type) {
    case 'paragraph':
      return <p>{inOrder(block.children, viewInline)}</p>;
    case 'heading': {
      // The page has the first two levels itself.
      const Heading = block.level === 1 ? 'h3' : block.level === 2 ? 'h4' : 'h5';
      return <Heading>{inOrder(block.children, viewInline)}</Heading>;
    }
    case 'code':
      return (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard
        <pre tabIndex={0}>
          <code>{block.text}</code>
        </pre>
      );
    case 'list': {
      const List = block.ordered ? 'ol' : 'ul';
      return <List>{inOrder(block.items, viewItem)}</List>;
    }
    case 'quote':
      return <blockquote>{inOrder(block.children, viewBlock)}</blockquote>;
    case 'table':
      return (
        <div className={styles.table}>
          <table>
            <thead>
              <tr>{inOrder(block.head, viewHeadCell)}</tr>
            </thead>
            <tbody>{inOrder(block.rows, viewRow)}</tbody>
          </table>
        </div>
      );
    case 'rule':
      return <hr />;
  }
}

type Line = readonly Inline[];

function viewItem(item: Line): ReactNode {
  return <li>{inOrder(item, viewInline)}</li>;
}

function viewHeadCell(cell: Line): ReactNode {
  return <th scope="col">{inOrder(cell, viewInline)}</th>;
}

function viewRow(row: readonly Line[]): ReactNode {
  return <tr>{inOrder(row, viewCell)}</tr>;
}

function viewCell(cell: Line): ReactNode {
  return <td>{inOrder(cell, viewInline)}</td>;
}

function viewInline(inline: Inline): ReactNode {
  switch (inline.type) {
    case 'text':
      return inline.text;
    case 'code':
      return <code>{inline.text}</code>;
    case 'strong':
      return <strong>{inOrder(inline.children, viewInline)}</strong>;
    case 'emphasis':
      return <em>{inOrder(inline.children, viewInline)}</em>;
    case 'link':
      // Where it leads shows before it is followed, for a model may write one thing and link another.
      return (
        <a href={inline.href} rel="noopener noreferrer nofollow" target="_blank" title={inline.href}>
          {inOrder(inline.children, viewInline)}
        </a>
      );
  }
}
