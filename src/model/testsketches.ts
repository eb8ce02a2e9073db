/** Clusters as few numbers from which objects are made, so that what they claim collides often. */
import fc from 'fast-check';
import { type AgentConfig, parseConfig } from './config.ts';
import type { Epoch } from './epochs/epoch.ts';
import type { Plane } from './epochs/plane.ts';
import { contains, familyOf, firstUsable } from './net.ts';
import { type NodeObject, PUBLIC_KEY_ANNOTATION } from './node.ts';
import type { SelfNode, Snapshot } from './snapshot.ts';
import { KEY3, KEY4, RUN } from './testplanes.ts';
import { firstPod } from './testrouting.ts';

export const CLUSTER = ['10.244.0.0/16', 'fd00:10:244::/56'];
export const UNDERLAY = ['eth0', 'eth1'];

export const self: SelfNode = {
  name: 'self',
  podCIDRs: ['10.244.0.0/24', 'fd00:10:244::/64'],
  addresses: ['172.18.0.2', 'fd00:172:18::2'],
  publicKey: key(0),
  optedOut: false,
  underlay: { devices: UNDERLAY, mtu: 1500 },
};

const name = fc.integer({ min: 1, max: 12 });
export const node = fc.record({
  name,
  age: fc.integer({ min: 0, max: 5 }),
  cidr: fc.option(fc.integer({ min: 0, max: 7 })),
  wide: fc.boolean(),
  stray: fc.boolean(),
  v6: fc.boolean(),
  address: fc.option(fc.integer({ min: 1, max: 8 })),
  key: fc.option(fc.oneof(fc.integer({ min: 0, max: 7 }), fc.constant('garbage'))),
  seals: fc.boolean(),
});
export type Sketch = typeof node extends fc.Arbitrary<infer T> ? T : never;

export const cluster = fc.uniqueArray(node, { selector: each => each.name, maxLength: 8 });

export const settings = fc.record({
  mode: fc.constantFrom('wireguard' as const, 'disabled' as const, 'ipsec' as const),
  encryptNode: fc.boolean(),
  ipv6: fc.boolean(),
});
type Settings = typeof settings extends fc.Arbitrary<infer T> ? T : never;

const SEALED: Epoch[] = [KEY3, KEY4, 'wireguard'];
const way = fc.record({
  name,
  opens: fc.subarray(SEALED),
  seals: fc.option(fc.constantFrom('none' as const, ...SEALED)),
  probes: fc.option(fc.constantFrom(...SEALED)),
});

/** Any plane, also such that no decision of the machine leads to. */
export const plane = fc
  .record({ clear: fc.boolean(), ways: fc.uniqueArray(way, { selector: each => each.name, maxLength: 12 }) })
  .map(({ clear, ways }): Plane => {
    const all = (choose: (each: (typeof ways)[number]) => readonly (Epoch | null)[]) =>
      ways.flatMap(each =>
        choose(each).flatMap(epoch =>
          epoch === null ? [] : [{ peer: nameOf(each), incarnation: RUN, epoch }],
        ),
      );
    return {
      clear,
      opens: all(({ opens }) => opens),
      seals: all(({ seals }) => [seals]),
      probes: all(({ probes }) => [probes]),
    };
  });

export function nameOf(sketch: { name: number }): string {
  return `n${sketch.name}`;
}

/** Addresses of pods elsewhere: inside every CIDR claimed, and where nobody is. */
export function targets(sketches: Sketch[], ipv6: boolean): string[] {
  const claimed = sketches
    .flatMap(sketch => podCIDRs(sketch))
    .filter(cidr => CLUSTER.some(range => contains(range, cidr)));
  const addresses = [
    ...claimed.map(firstUsable),
    ...claimed.map(firstPod),
    '10.244.255.7',
    'fd00:10:244:ff::7',
  ];
  return addresses.filter(
    address => (ipv6 || familyOf(address) === 4) && !self.podCIDRs.some(cidr => contains(cidr, address)),
  );
}

export function snapshot(sketches: Sketch[], { mode, encryptNode, ipv6 }: Settings): Snapshot {
  const parsed = parseConfig({
    'enable-wireguard': String(mode === 'wireguard'),
    'enable-ipsec': String(mode === 'ipsec'),
    'encrypt-node': String(encryptNode && mode !== 'disabled'),
    'enable-ipv6': String(ipv6),
  }) as { config: AgentConfig };
  return { config: parsed.config, clusterPodCIDRs: CLUSTER, nodes: sketches.map(object) };
}

function object(sketch: Sketch): NodeObject {
  const advertised = keyOf(sketch);
  const cidrs = podCIDRs(sketch);
  return {
    metadata: {
      name: nameOf(sketch),
      creationTimestamp: `2026-01-01T00:00:0${sketch.age}Z`,
      annotations: advertised === undefined ? {} : { [PUBLIC_KEY_ANNOTATION]: advertised },
    },
    spec: {
      addresses: [
        ...(sketch.address === null ? [] : [{ type: 'InternalIP', ip: `172.18.0.${100 + sketch.address}` }]),
        ...cidrs.map(cidr => ({ type: 'CiliumInternalIP', ip: firstUsable(cidr) })),
      ],
      encryption: { key: sketch.seals ? 255 : 0 },
      ipam: { podCIDRs: cidrs },
    },
  };
}

function podCIDRs({ cidr, wide, stray, v6 }: Sketch): string[] {
  if (cidr === null) return [];
  const v4 = stray ? `192.168.${cidr}.0/24` : wide ? `10.244.${cidr & 6}.0/23` : `10.244.${cidr}.0/24`;
  return v6 ? [v4, `fd00:10:244:${cidr}::/64`] : [v4];
}

export function keyOf(sketch: Sketch): string | undefined {
  if (sketch.key === null) return undefined;
  return typeof sketch.key === 'number' ? key(sketch.key) : sketch.key;
}

function key(n: number): string {
  return Buffer.alloc(32, n + 1).toString('base64');
}
