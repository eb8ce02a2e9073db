/**
 * Two nodes without agents: plans are made of planes that a test gives, and applied by the drivers to real kernels, with
 * a real engine. One pod on each node.
 *
 *     pod 10.244.1.9 ── lxc1 [node-1] eth0 172.18.0.3 ─── 172.18.0.4 eth0 [node-2] lxc1 ── pod 10.244.2.9
 *
 * The pods have addresses of both families; the nodes have one each, and with IPv6 alone so has all that is planned.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { HostGround } from '../../src/drivers/host-ground.ts';
import { HostPaths } from '../../src/drivers/host-paths.ts';
import { IpsecEngine } from '../../src/drivers/ipsec-engine.ts';
import { WireGuardEngine } from '../../src/drivers/wireguard-engine.ts';
import { publicKeyOf } from '../../src/drivers/wireguard-keys.ts';
import { openRtnetlink } from '../../src/linux/rtnetlink.ts';
import { type AgentConfig, parseConfig } from '../../src/model/config.ts';
import { type Epoch, ipsecEpoch, protocolOf } from '../../src/model/epochs/epoch.ts';
import { EMPTY_PLANE, type Plane } from '../../src/model/epochs/plane.ts';
import { type NodeObject, PUBLIC_KEY_ANNOTATION } from '../../src/model/node.ts';
import { type NodePlan, plan } from '../../src/model/plan.ts';
import type { SelfNode } from '../../src/model/snapshot.ts';
import { sealingLimits } from '../../src/proto/esp/limits.ts';
import { aeadSuite } from '../../src/proto/esp/suite.ts';
import { MasterKey } from '../../src/proto/keys/master.ts';
import { Holder, run, until } from '../agent/holder.ts';

const engineProgram = join(import.meta.dirname, '../../src/main/pellicle-engine.ts');
const suite = aeadSuite('rfc4106(gcm(aes))', 20, 128);

function masterKey(id: number): MasterKey {
  return new MasterKey({ id, marked: true, suite, cipher: randomBytes(20) });
}

const masters = [masterKey(3), masterKey(4)];
export const [KEY3, KEY4] = masters.map(ipsecEpoch) as [Epoch, Epoch];

export type Encryption = AgentConfig['encryption'];

/** What one node does with the other; the rest of the plane follows. */
export interface Ways {
  clear?: boolean;
  opens?: Epoch[];
  seals?: Epoch;
}

export class PairNode {
  readonly name: string;
  readonly podAddresses: string[];
  readonly self: SelfNode;
  readonly holder = new Holder(['/run']);
  readonly #index: number;
  readonly #onlyIPv6: boolean;
  /** As the configuration says; what is made by the next `apply` goes by it. */
  ipv6 = true;
  readonly #privateKey = randomBytes(32);
  #engine: ChildProcess | undefined;
  #drivers: ReturnType<PairNode['makeDrivers']> | undefined;

  constructor(index: number, onlyIPv6: boolean) {
    this.#index = index;
    this.#onlyIPv6 = onlyIPv6;
    this.name = `node-${index}`;
    this.podAddresses = [`10.244.${index}.9`, `fd00:10:244:${index}::9`];
    this.self = {
      name: this.name,
      podCIDRs: [`10.244.${index}.0/24`, `fd00:10:244:${index}::/64`],
      addresses: [onlyIPv6 ? `fd00:172:18::${2 + index}` : `172.18.0.${2 + index}`],
      publicKey: publicKeyOf(this.#privateKey),
      optedOut: false,
      underlay: { devices: ['eth0'], mtu: 1500 },
    };
  }

  get drivers() {
    this.#drivers ??= this.makeDrivers();
    return this.#drivers;
  }

  async start(): Promise<void> {
    await this.holder.started();
    const [v4, v6] = this.podAddresses;
    // As strict as a host may be.
    await this.holder.sh('echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter; mkdir -p /run/netns');
    await this.holder.sh(
      `ip netns add pod && ip link add lxc1 mtu 1373 type veth peer name eth0 mtu 1373 netns pod && ip link set lxc1 up
       ip -n pod link set lo up && ip -n pod link set eth0 up
       ip -n pod addr add ${v4}/32 dev eth0 && ip -n pod addr add ${v6}/128 dev eth0 nodad
       ip -n pod route add 169.254.1.1 dev eth0 && ip -n pod route add default via 169.254.1.1
       ip -n pod -6 route add fe80::1 dev eth0 && ip -n pod -6 route add default via fe80::1 dev eth0
       mac=$(cat /sys/class/net/lxc1/address) || mac=$(ip -o link show lxc1 | sed 's/.*ether \\([^ ]*\\).*/\\1/')
       ip -n pod neigh add 169.254.1.1 lladdr $mac dev eth0 && ip -n pod neigh add fe80::1 lladdr $mac dev eth0
       pod=$(ip -n pod -o link show eth0 | sed 's/.*ether \\([^ ]*\\).*/\\1/')
       ip route add ${v4}/32 dev lxc1 && ip neigh add ${v4} lladdr $pod dev lxc1
       ip -6 route add ${v6}/128 dev lxc1 && ip neigh add ${v6} lladdr $pod dev lxc1`,
    );
  }

  async startEngine(): Promise<void> {
    const args = [process.execPath, engineProgram, '-f', '--ipsec', 'cilium_esp0', 'cilium_wg0'];
    const engine = spawn('nsenter', [...this.holder.flags, ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    this.#engine = engine;
    const sockets = ['pellicle/cilium_esp0.sock', 'wireguard/cilium_wg0.sock'];
    await until('the engine is up', async () => sockets.every(path => existsSync(`${this.runDir}/${path}`)));
  }

  get runDir(): string {
    return `/proc/${this.holder.pid}/root/run`;
  }

  stop(): void {
    this.#engine?.kill('SIGKILL');
    this.#drivers?.rtnetlink.close();
    this.holder.stop();
  }

  /** Makes the plan of that plane real, as an agent does. */
  async apply(peer: PairNode, encryption: Encryption, ways: Ways, seals = true): Promise<NodePlan> {
    const { ground, paths, ipsec, wireguard } = this.drivers;
    const made = this.plan(peer, encryption, ways);
    await ground.apply(made.ground);
    if (made.wireguard) await wireguard.apply({ ...made.wireguard, privateKey: this.#privateKey });
    if (made.ipsec) {
      const run = await this.run();
      const other = await peer.run();
      const here = { address: made.ipsec.peers[0]?.tunnel.local ?? '', bootId: run };
      const there = { address: made.ipsec.peers[0]?.tunnel.remote ?? '', bootId: other };
      const peers = made.ipsec.peers.map(each => ({
        ...each,
        openings: each.openings.map(({ epoch }) => {
          const master = masters.find(key => ipsecEpoch(key) === epoch)!;
          const out = master.derive({ source: here, destination: there });
          const back = master.derive({ source: there, destination: here });
          const keys = { suite, out, in: back, limits: sealingLimits(suite, true) };
          return { incarnation: other, epoch, keys };
        }),
        ...(each.seals && seals ? { seals: { incarnation: other, epoch: each.seals.epoch } } : {}),
      }));
      await ipsec.apply({ ...made.ipsec, run, peers });
    }
    await paths.apply(made.paths);
    return made;
  }

  plan(peer: PairNode, encryption: Encryption, ways: Ways): NodePlan {
    const parsed = parseConfig({
      'enable-wireguard': String(encryption === 'wireguard'),
      'enable-ipsec': String(encryption === 'ipsec'),
      'enable-ipv4': String(!this.#onlyIPv6),
      'enable-ipv6': String(this.ipv6),
    }) as { config: AgentConfig };
    const isOn = (cidr: string) => this.ipv6 || !cidr.includes(':');
    const clusterPodCIDRs = ['10.244.0.0/16', 'fd00:10:244::/56'].filter(isOn);
    return plan(
      { config: parsed.config, clusterPodCIDRs, nodes: [peer.object()] },
      { ...this.self, podCIDRs: this.self.podCIDRs.filter(isOn) },
      planeOf(peer.name, ways),
    );
  }

  object(): NodeObject {
    const internal = [`10.244.${this.#index}.1`, `fd00:10:244:${this.#index}::1`];
    return {
      metadata: { name: this.name, annotations: { [PUBLIC_KEY_ANNOTATION]: this.self.publicKey! } },
      spec: {
        addresses: [
          ...this.self.addresses.map(ip => ({ type: 'InternalIP', ip })),
          ...internal.map(ip => ({ type: 'CiliumInternalIP', ip })),
        ],
        ipam: { podCIDRs: this.self.podCIDRs },
      },
    };
  }

  async run(): Promise<string> {
    return (await this.drivers.ipsec.observe()).run;
  }

  sh(script: string) {
    return this.holder.sh(script);
  }

  /** A shell script in the pod. */
  async inPod(script: string): Promise<string> {
    const { stdout } = await run('nsenter', [
      ...this.holder.flags,
      ...['ip', 'netns', 'exec', 'pod', 'sh', '-c', script],
    ]);
    return stdout;
  }

  /** How many of `count` pings from the pod were answered. */
  async ping(address: string, count: number, ...options: string[]): Promise<number> {
    const words = ['ping', '-n', '-c', String(count), '-i', '0.02', '-W', '1', ...options, address].join(' ');
    return Number(/(\d+) received/.exec(await this.inPod(`${words} || true`))?.[1] ?? 0);
  }

  private makeDrivers() {
    const netns = `/proc/${this.holder.pid}/ns/net`;
    const rtnetlink = openRtnetlink({ netns });
    return {
      rtnetlink,
      ground: new HostGround({ rtnetlink, netns }),
      paths: new HostPaths({ rtnetlink }),
      ipsec: new IpsecEngine({ device: 'cilium_esp0', directory: `${this.runDir}/pellicle` }),
      wireguard: new WireGuardEngine({ device: 'cilium_wg0', directory: `${this.runDir}/wireguard` }),
    };
  }
}

export async function startPair(options: { onlyIPv6?: boolean } = {}): Promise<[PairNode, PairNode]> {
  const { onlyIPv6 = false } = options;
  const nodes: [PairNode, PairNode] = [new PairNode(1, onlyIPv6), new PairNode(2, onlyIPv6)];
  try {
    for (const node of nodes) await node.start();
    const [a, b] = nodes.map(({ holder }) => String(holder.pid)) as [string, string];
    await run('ip', [
      ...['link', 'add', 'eth0', 'netns', a, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', b],
    ]);
    for (const node of nodes) {
      const address = `${node.self.addresses[0]}/${onlyIPv6 ? '64 nodad' : '16'}`;
      await node.sh(`ip link set eth0 up && ip addr add dev eth0 ${address}`);
      await node.startEngine();
    }
    return nodes;
  } catch (error) {
    for (const node of nodes) node.stop();
    throw error;
  }
}

function planeOf(peer: string, { clear = false, opens = [], seals }: Ways): Plane {
  const way = (epoch: Epoch) => ({ peer, incarnation: '', epoch });
  return {
    ...EMPTY_PLANE,
    clear,
    opens: opens.map(way),
    seals: seals === undefined ? [] : [way(seals)],
    probes: opens.filter(epoch => protocolOf(epoch) === 'ipsec').map(way),
  };
}
