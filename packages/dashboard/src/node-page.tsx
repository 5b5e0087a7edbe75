import { Drawer, Tabs } from '@mantine/core';
import { useDocumentVisibility, useMediaQuery } from '@mantine/hooks';
import { useEffect, useState } from 'react';
import { Api } from './api/api.ts';
import { Chat } from './chat/chat.tsx';
import { ChatSession } from './chat/chat-session.ts';
import { EventFeed } from './events/event-feed.tsx';
import { Header } from './node/header.tsx';
import { LinkBanner } from './node/link-banner.tsx';
import { NodeWatch } from './node/node-watch.ts';
import styles from './node-page.module.css';
import { PeerList } from './peers/peer-list.tsx';
import { SessionList } from './sessions/session-list.tsx';
import { ToolList } from './tools/tool-list.tsx';
import { chatIcon, eventsIcon, peersIcon, toolsIcon } from './ui/icons.tsx';
import { useStore } from './ui/store.ts';

interface NodePageProps {
  readonly token: string;
  readonly onRefused: () => void;
}

function open(token: string) {
  const api = new Api({ token });
  const watch = new NodeWatch({ api });
  return { api, watch, chat: new ChatSession({ api, ended: () => void watch.refresh() }) };
}

/** Everything of one node: conversation first, the network beside it. */
export function NodePage({ token, onRefused }: NodePageProps) {
  const [{ api, watch, chat }] = useState(() => open(token));
  const node = useStore(watch.store);
  const conversation = useStore(chat.store);
  const [view, setView] = useState('chat');
  const [menuOpen, setMenuOpen] = useState(false);
  const isWide = useMediaQuery('(min-width: 1080px)', undefined, { getInitialValueInEffect: false });
  const hasSidebar = useMediaQuery('(min-width: 820px)', undefined, { getInitialValueInEffect: false });

  useEffect(() => {
    watch.start();
    return () => watch.stop();
  }, [watch]);
  const isRefused = node.link.type === 'refused';
  useEffect(() => {
    if (isRefused) onRefused();
  }, [isRefused, onRefused]);
  useEffect(() => void chat.restore(), [chat]);
  const isLive = node.link.type === 'live';
  const isSeen = useDocumentVisibility() === 'visible';
  useEffect(() => {
    if (!isSeen) chat.pause();
    else if (isLive) void chat.resume();
  }, [chat, isLive, isSeen]);
  const followed = node.sessions.find(({ id }) => id === conversation.sessionId)?.updatedAtMs;
  useEffect(() => {
    if (followed !== undefined && !conversation.running) void chat.follow();
  }, [chat, followed, conversation.running]);
  const title = node.status?.name;
  useEffect(() => {
    document.title = title === undefined ? 'Skein' : `${title} · Skein`;
  }, [title]);

  const sessions = (
    <SessionList
      currentId={conversation.sessionId}
      onNew={() => {
        chat.startNew();
        setView('chat');
        setMenuOpen(false);
      }}
      onOpen={(id) => {
        void chat.open(id);
        setView('chat');
        setMenuOpen(false);
      }}
      sessions={node.sessions}
    />
  );
  // Beside the chat there is always a panel; alone on a narrow page, each view has it whole.
  const shown = isWide && view === 'chat' ? 'peers' : view;
  const connected = node.peers.filter((peer) => peer.state === 'connected').length;
  return (
    <div className={styles.page}>
      <a className="skip-link" href="#message">
        Skip to the message
      </a>
      <Header node={node} onMenu={hasSidebar ? null : () => setMenuOpen(true)} />
      <LinkBanner link={node.link} onRetry={() => watch.retry()} />
      <div className={styles.columns}>
        {hasSidebar ? <aside className={styles.sidebar}>{sessions}</aside> : null}
        {(isWide || shown === 'chat') && (
          <main className={styles.main}>
            <Chat brain={node.status?.brain ?? null} chat={chat} isLive={isLive} tools={node.tools} />
          </main>
        )}
        <Tabs
          classNames={{
            root: styles.panel ?? '',
            list: styles.tabs ?? '',
            panel: styles.panelBody ?? '',
            tab: styles.tab ?? '',
            tabSection: styles.tabIcon ?? '',
          }}
          data-alone={!isWide && shown === 'chat' ? 'tabs' : 'panel'}
          keepMounted={false}
          onChange={(value) => setView(value ?? 'chat')}
          value={shown}
        >
          <Tabs.List aria-label="Views" grow>
            {!isWide && (
              <Tabs.Tab leftSection={chatIcon} value="chat">
                Chat
              </Tabs.Tab>
            )}
            <Tabs.Tab leftSection={peersIcon} value="peers">
              Peers{' '}
              <span className={styles.count}>
                {connected}/{node.peers.length}
              </span>
            </Tabs.Tab>
            <Tabs.Tab leftSection={toolsIcon} value="tools">
              Tools <span className={styles.count}>{node.tools.length}</span>
            </Tabs.Tab>
            <Tabs.Tab leftSection={eventsIcon} value="events">
              Events
            </Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel tabIndex={-1} value="peers">
            <PeerList peers={node.peers} />
          </Tabs.Panel>
          <Tabs.Panel tabIndex={-1} value="tools">
            <ToolList api={api} tools={node.tools} />
          </Tabs.Panel>
          <Tabs.Panel tabIndex={-1} value="events">
            <EventFeed events={node.events} />
          </Tabs.Panel>
        </Tabs>
      </div>
      <Drawer
        closeButtonProps={{ 'aria-label': 'Close' }}
        lockScroll={false}
        onClose={() => setMenuOpen(false)}
        opened={menuOpen && !hasSidebar}
        size={300}
        title="Chats"
      >
        {sessions}
      </Drawer>
    </div>
  );
}
