import './mantine.css';
import './theme.css';
import './base.css';
import { createTheme, MantineProvider } from '@mantine/core';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app.tsx';

// Colours and sizes are in theme.css: what Mantine would write into the page by itself, the policy refuses.
const theme = createTheme({ primaryColor: 'teal', cursorType: 'pointer', respectReducedMotion: true });

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');
createRoot(root).render(
  <StrictMode>
    <MantineProvider defaultColorScheme="auto" theme={theme} withCssVariables={false} withGlobalClasses={false}>
      <App />
    </MantineProvider>
  </StrictMode>,
);
