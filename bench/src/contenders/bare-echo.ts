import { type Contender, fact } from '../contender.ts';
import type { EchoAnswer, EchoCall } from '../payload.ts';
import { PendingCalls } from '../pending.ts';
import { openSocket, serveSockets } from '../sockets.ts';

/** JSON over a WebSocket and nothing else: the floor every other figure is measured from. */
export const bareEcho: Contender = {
  name: 'bare-echo',
  title: 'bare ws JSON echo',
  missing: () => null,

  serve: () =>
    serveSockets((message) => {
      const { id, params }: EchoCall = JSON.parse(message.toString());
      return JSON.stringify({ id, result: params });
    }),

  async connect(facts) {
    const pending = new PendingCalls();
    const socket = await openSocket(fact(facts, 'url'), (message) => {
      const { id, result }: EchoAnswer = JSON.parse(message.toString());
      pending.settle(id, result);
    });
    return {
      call(params) {
        const { id, answer } = pending.open();
        socket.send(JSON.stringify({ id, method: 'echo', params }));
        return answer;
      },
      async [Symbol.asyncDispose]() {
        socket.terminate();
      },
    };
  },
};
