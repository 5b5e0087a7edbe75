import { ApiError } from './api-error.ts';

/** Every line of a streamed answer, heartbeats too. A connection that breaks throws. */
export async function* readLines<T>(response: Response): AsyncGenerator<T> {
  if (response.body === null) return;
  let rest = '';
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + value).split('\n');
      rest = lines.pop() ?? '';
      // Proven: the policy lets this page talk to the node that served it only, and both are one build.
      for (const line of lines) if (line !== '') yield JSON.parse(line) as T;
    }
  } catch (thrown) {
    throw ApiError.from(thrown);
  } finally {
    // Whoever leaves the loop early hangs up.
    reader.cancel().catch(() => undefined);
  }
}
