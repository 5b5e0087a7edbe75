import { freePorts } from '@skein/mesh';
import { type BrokerOptions, ServiceBroker } from 'moleculer';
import { type Contender, type Facts, fact } from '../contender.ts';

/** Moleculer's remote action over its TCP transporter: neither signed nor encrypted. */
export const moleculer: Contender = {
  name: 'moleculer',
  title: 'Moleculer 0.15 action over TCP',
  missing: () => null,

  // Without discovery both sides must know both ports beforehand.
  async prepare() {
    const [server, caller] = await freePorts(2);
    const facts = { server: String(server), caller: String(caller) };
    return { facts, async [Symbol.asyncDispose]() {} };
  },

  async serve(facts) {
    const broker = new ServiceBroker(optionsOf('server', facts));
    broker.createService({ name: 'echo', actions: { run: (context) => context.params } });
    await broker.start();
    return { facts: {}, [Symbol.asyncDispose]: () => broker.stop() };
  },

  async connect(facts) {
    const broker = new ServiceBroker(optionsOf('caller', facts));
    await broker.start();
    await broker.waitForServices('echo', 20_000, 100);
    return {
      call: (params) => broker.call('echo.run', params),
      [Symbol.asyncDispose]: () => broker.stop(),
    };
  },
};

function optionsOf(nodeID: string, facts: Facts): BrokerOptions {
  const urls = ['server', 'caller'].map((name) => `tcp://127.0.0.1:${fact(facts, name)}/${name}`);
  return { nodeID, logger: false, transporter: { type: 'TCP', options: { udpDiscovery: false, urls: urls.join(',') } } };
}
