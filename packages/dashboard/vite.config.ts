import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

export default defineConfig({
  plugins: [react()],
  build: {
    // Nothing inline: the node's content security policy allows files only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
