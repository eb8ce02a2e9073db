/** The lab's own network: a bridge in the holder's namespace, and slirp4netns as its way out and in. */

import { rm } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { apiPort, type LabNode, type LabOptions, type LabPaths, network } from './layout.ts';
import { runScript, startDetached } from './processes.ts';
import { until } from './wait.ts';

/** Bridge, forwarding, NAT. Idempotent. */
export async function ensureBridge(holder: number, options: LabOptions, master: LabNode): Promise<void> {
  const { bridge, mtu, gateway, prefix, gateway6, prefix6, tap } = network;
  await runScript(
    `
ip link set lo up
[ -e /proc/sys/net/ipv4/conf/${bridge} ] || ip link add ${bridge} type bridge
ip link set ${bridge} mtu ${mtu} up
ip addr replace ${gateway}/${prefix} dev ${bridge}
${options.ipFamily === 'dual' ? `ip -6 addr replace ${gateway6}/${prefix6} dev ${bridge} nodad` : ''}
echo 1 > /proc/sys/net/ipv4/ip_forward
nft -f - <<END
table ip pellicle-lab
delete table ip pellicle-lab
table ip pellicle-lab {
  chain in { type nat hook prerouting priority -100; iifname ${tap} tcp dport ${apiPort} dnat to ${master.addresses[0]}; }
  chain out { type nat hook postrouting priority 100; oifname ${tap} ip saddr ${gateway}/${prefix} masquerade; }
}
END
`,
    { target: holder },
  );
}

/** Joins a node's eth0 to the bridge, unless it has one. `init` is the host pid of the node's init. */
export async function attachNode(holder: number, init: number, node: LabNode): Promise<void> {
  const { bridge, mtu, gateway, prefix, gateway6, prefix6 } = network;
  const [address, address6] = node.addresses;
  const inside = [
    `ip addr replace ${address}/${prefix} dev eth0`,
    ...(address6 ? [`ip -6 addr replace ${address6}/${prefix6} dev eth0 nodad`] : []),
    `ip link set eth0 mtu ${mtu} up`,
    ...(address6 ? [`ip -6 route replace default via ${gateway6}`] : []),
    `ip route replace default via ${gateway}`,
  ].join(' && ');
  await runScript(
    `
if ! nsenter -t ${init} -n test -e /proc/sys/net/ipv4/conf/eth0; then
  ip link add ${node.link} mtu ${mtu} type veth peer name eth0 address ${node.mac} mtu ${mtu} netns ${init}
fi
ip link set ${node.link} master ${bridge} up
nsenter -t ${init} -n sh -ec '${inside}'
`,
    { target: holder },
  );
}

/** Takes the eth0 of a node that has ended away. The kernel does so, too, but some time after it. */
export async function detachNode(holder: number, { link }: LabNode): Promise<void> {
  // It may go between the look and the removal.
  const script = `[ ! -e /proc/sys/net/ipv4/conf/${link} ] || ip link del ${link} || [ ! -e /proc/sys/net/ipv4/conf/${link} ]`;
  await runScript(script, { target: holder });
}

/** Starts slirp4netns inside the lab's PID namespace, so that it ends with it, but in the host's network. */
export async function startSlirp(holder: number, paths: LabPaths): Promise<void> {
  await rm(paths.slirpSocket, { force: true });
  const log = `${paths.logs}/slirp4netns.log`;
  const { failed } = startDetached(
    'nsenter',
    [
      ...['-t', String(holder), '--pid', 'slirp4netns'],
      ...['--configure', '--disable-host-loopback', '--mtu', String(network.mtu)],
      ...['--api-socket', paths.slirpSocket, '--netns-type=path', `/proc/${holder}/ns/net`, network.tap],
    ],
    { log },
  );
  let problem: Error | undefined;
  void failed.then(error => {
    problem = error;
  });
  await until(`slirp4netns to answer (its log: ${log})`, 10_000, async () => {
    if (problem) throw problem;
    return slirp(paths.slirpSocket, { execute: 'list_hostfwd' }).then(
      () => true,
      () => undefined,
    );
  });
}

/** Publishes the API server on 127.0.0.1:`port`; false if that port is taken. */
export async function publishApi(paths: LabPaths, port: number): Promise<boolean> {
  const listed = (await slirp(paths.slirpSocket, { execute: 'list_hostfwd' })) as {
    entries?: { host_port?: number }[];
    return?: { entries?: { host_port?: number }[] };
  };
  const entries = listed.entries ?? listed.return?.entries ?? [];
  if (entries.some(entry => entry.host_port === port)) return true;
  const answer = (await slirp(paths.slirpSocket, {
    execute: 'add_hostfwd',
    arguments: {
      proto: 'tcp',
      host_addr: '127.0.0.1',
      host_port: port,
      guest_addr: network.tapAddress,
      guest_port: apiPort,
    },
  })) as { error?: unknown };
  return answer.error === undefined;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

/** One request over slirp4netns's API socket: JSON in, JSON out, then it hangs up. */
function slirp(socketPath: string, request: unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(socketPath);
    let text = '';
    socket.setTimeout(3_000, () => socket.destroy(new Error('slirp4netns does not answer')));
    socket.on('connect', () => socket.end(JSON.stringify(request)));
    socket.on('data', chunk => {
      text += chunk;
    });
    socket.on('error', reject);
    socket.on('close', () => {
      try {
        resolve(JSON.parse(text));
      } catch {
        reject(new Error('slirp4netns gave no answer'));
      }
    });
  });
}
