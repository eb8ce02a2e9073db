/**
 * Serves the CNI plugin of one node without an agent: `node test/cni/serve.ts '{"socketPath":…,"podCIDRs":[…],
 * "gateways":[…],"mtu":1420}'`, in the node's network namespace. Prints `ready`. `killAt` names a step of ADD before
 * which the process kills itself; `holder: true` makes cilium_host and cilium_net with the gateways.
 */
import { CniServer, type NodeNetwork } from '../../src/cni/server.ts';
import { openRtnetlink } from '../../src/linux/rtnetlink.ts';
import { writeSysctl } from '../../src/linux/sysctl.ts';

const options = JSON.parse(process.argv[2] ?? '{}') as NodeNetwork & {
  socketPath?: string;
  killAt?: string;
  holder?: boolean;
};

if (options.holder) await makeHolder(options.gateways);
const server = new CniServer({
  ...(options.socketPath && { socketPath: options.socketPath }),
  log: line => console.error(line),
  beforeStep: step => {
    if (step === options.killAt) process.kill(process.pid, 'SIGKILL');
  },
});
server.setNetwork({ podCIDRs: options.podCIDRs, gateways: options.gateways, mtu: options.mtu });
await server.start();
console.log('ready');
process.once('SIGTERM', async () => {
  await server.stop();
  process.exit(0);
});

async function makeHolder(gateways: string[]): Promise<void> {
  using host = openRtnetlink();
  await writeSysctl('net/ipv4/ip_forward', 1);
  await writeSysctl('net/ipv6/conf/all/forwarding', 1);
  if (!(await host.link('cilium_host'))) {
    await host.addLink({
      kind: 'veth',
      name: 'cilium_host',
      up: true,
      peer: { name: 'cilium_net', up: true },
    });
  }
  for (const gateway of gateways) {
    await host.replaceAddress({
      address: `${gateway}/${gateway.includes(':') ? 128 : 32}`,
      device: 'cilium_host',
    });
  }
}
