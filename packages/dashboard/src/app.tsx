import { useEffect, useState } from 'react';
import { NodePage } from './node-page.tsx';
import { forgetToken, keepToken, takeToken } from './token.ts';
import { TokenForm } from './token-form.tsx';

/** The page: a node's, once there is a token for it. */
export function App() {
  const [token, setToken] = useState(takeToken);
  const [problem, setProblem] = useState<string | null>(null);

  useEffect(() => {
    // A fresh link pasted into the same tab changes the fragment only.
    const onHashChange = () => setToken(takeToken());
    window.addEventListener('hashchange', onHashChange);
    return () => window.removeEventListener('hashchange', onHashChange);
  }, []);

  const enter = (entered: string) => {
    keepToken(entered);
    setProblem(null);
    setToken(entered);
  };
  const refuse = () => {
    forgetToken();
    setToken(null);
    setProblem('That token is not this node’s. skein page, in the folder of the node, prints the link with the right one.');
  };
  if (token === null) return <TokenForm onEnter={enter} problem={problem} />;
  return <NodePage key={token} onRefused={refuse} token={token} />;
}
