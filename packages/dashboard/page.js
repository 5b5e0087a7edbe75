/** The folder of the built page, for the node that serves it; empty until `npm run build -w packages/dashboard`. */
export const pageFolder = new URL('./dist/', import.meta.url);
