/** How this node's traffic is sealed, in the words of Cilium's API where it has the thing. No key material. */
import type { IpsecObserved, WireGuardObserved } from '../drivers/driver.ts';
import { type Epoch, epochLabel } from '../model/epochs/epoch.ts';
import { WIREGUARD_DEVICE } from '../model/names.ts';
import { INBOUND_DROPS, OUTBOUND_DROPS } from '../proto/esp/drops.ts';
import { suiteName } from '../proto/esp/suite.ts';
import { messageOf } from './log.ts';
import type { RoundState } from './reconcile.ts';

export interface EncryptionStatus {
  mode: 'Disabled' | 'Wireguard' | 'IPsec';
  /** Why it could not be asked, or what is wrong with it. */
  msg: string;
  /** Where this node moves to, and how far it is; absent before the first decision. */
  epochs?: EpochsStatus;
  wireguard?: {
    'node-encryption': 'Disabled' | 'Enabled' | 'OptedOut';
    interfaces: WireGuardInterface[];
  };
  ipsec?: IpsecStatus;
}

export interface EpochsStatus {
  goal: Epoch;
  /** Of what is advertised; `ipsec/3`, `wireguard`, `none`. */
  advertised: { opens: string[]; seals: string[] };
  /** `incarnation`: the run of the peer that is known. */
  peers: { peer: string; incarnation: string; opens: string[]; seals: string; probes: string }[];
  /** Why another key goes first, and peers that still seal with one that is refused; as sentences. */
  remarks: string[];
}

export interface IpsecStatus {
  /** Always empty: ESP is opened as it comes out of cilium_vxlan. */
  'decrypt-interfaces': string[];
  'keys-in-use': number;
  /** `0x1e3/0xffffffffffffffff`, or `N/A`. */
  'max-seq-number': string;
  'error-count': number;
  'xfrm-errors': Record<string, number>;
  'xfrm-states': { in: number; out: number };
  'xfrm-policies': { in: number; out: number; fwd: number };
  /** Absent when no key was taken (since the agent started). */
  key?: { id: number; algorithm: string; fingerprint: string };
  /** Why the Secret is not taken. */
  problem?: string;
  warnings: string[];
  /** An SA has sealed nearly as much as it may, or as much. */
  due: boolean;
  expired: boolean;
}

export interface WireGuardInterface {
  name: string;
  'listen-port': number;
  'public-key': string;
  'peer-count': number;
  peers: {
    name: string;
    'public-key': string;
    endpoint: string;
    /** RFC 3339; the year 1 when there was none. */
    'last-handshake-time': string;
    'allowed-ips': string[];
    'transfer-rx': number;
    'transfer-tx': number;
  }[];
}

export interface EncryptionSources {
  wireguard: () => Promise<WireGuardObserved>;
  ipsec: () => Promise<IpsecObserved>;
}

export async function encryptionStatus(
  round: RoundState,
  { wireguard, ipsec }: EncryptionSources,
): Promise<EncryptionStatus> {
  const epochs = epochsStatus(round);
  const common = epochs ? { epochs } : {};
  switch (round.config?.encryption) {
    case 'wireguard':
      return { ...common, ...(await wireguardStatus(round, wireguard)) };
    case 'ipsec':
      return { ...common, ...(await ipsecStatus(round, ipsec)) };
    default:
      return { mode: 'Disabled', msg: '', ...common };
  }
}

async function wireguardStatus(
  { config, self, plan }: RoundState,
  observe: () => Promise<WireGuardObserved>,
): Promise<EncryptionStatus> {
  const optedOut = self?.optedOut ?? false;
  const nodeEncryption = config?.encryptNode ? (optedOut ? 'OptedOut' : 'Enabled') : 'Disabled';
  try {
    const observed = await observe();
    const names = new Map((plan?.wireguard?.peers ?? []).map(({ publicKey, name }) => [publicKey, name]));
    return {
      mode: 'Wireguard',
      msg: '',
      wireguard: { 'node-encryption': nodeEncryption, interfaces: [interfaceStatus(observed, names)] },
    };
  } catch (error) {
    return {
      mode: 'Wireguard',
      msg: messageOf(error),
      wireguard: { 'node-encryption': nodeEncryption, interfaces: [] },
    };
  }
}

async function ipsecStatus(
  { keys }: RoundState,
  observe: () => Promise<IpsecObserved>,
): Promise<EncryptionStatus> {
  const { current, trouble, warnings = [] } = keys ?? {};
  const about = {
    ...(current && {
      key: { id: current.id, algorithm: suiteName(current.suite), fingerprint: current.fingerprint },
    }),
    ...(trouble === undefined ? {} : { problem: trouble }),
    warnings: [...warnings],
  };
  try {
    return { mode: 'IPsec', msg: trouble ?? '', ipsec: { ...countersOf(await observe()), ...about } };
  } catch (error) {
    return { mode: 'IPsec', msg: trouble ?? messageOf(error), ipsec: { ...NO_COUNTERS, ...about } };
  }
}

type IpsecCounters = Omit<IpsecStatus, 'key' | 'problem' | 'warnings'>;

const NO_COUNTERS: IpsecCounters = {
  'decrypt-interfaces': [],
  'keys-in-use': 0,
  'max-seq-number': 'N/A',
  'error-count': 0,
  'xfrm-errors': {},
  'xfrm-states': { in: 0, out: 0 },
  'xfrm-policies': { in: 0, out: 0, fwd: 0 },
  due: false,
  expired: false,
};

/** Each SA of one direction has a key of its own. */
function countersOf({ states, seals, drops, openings }: IpsecObserved): IpsecCounters {
  const errors = Object.fromEntries(
    Object.entries(drops).filter(([name, count]) => count > 0 && XFRM_NAMES.has(name)),
  );
  const outbound = states.filter(({ direction }) => direction === 'out');
  const highest = outbound.reduce((most, { counters }) => max(most, counters.sequence), 0n);
  const count = (direction: 'in' | 'out') => states.filter(state => state.direction === direction).length;
  return {
    ...NO_COUNTERS,
    'keys-in-use': states.length,
    'max-seq-number': highest === 0n ? 'N/A' : `0x${highest.toString(16)}/0xffffffffffffffff`,
    'error-count': Object.values(errors).reduce((sum, errorsOfOne) => sum + errorsOfOne, 0),
    'xfrm-errors': errors,
    'xfrm-states': { in: count('in'), out: count('out') },
    'xfrm-policies': { in: 0, out: seals.length, fwd: 0 },
    due: openings.some(({ out }) => out.due),
    expired: openings.some(({ out }) => out.expired),
  };
}

const XFRM_NAMES = new Set<string>([...Object.values(INBOUND_DROPS), ...Object.values(OUTBOUND_DROPS)]);

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function epochsStatus({ epochs }: RoundState): EpochsStatus | undefined {
  if (!epochs) return undefined;
  const { decision, after, sight } = epochs;
  const labelOf = (ways: typeof after.seals, name: string) => {
    const found = ways.find(({ peer }) => peer === name);
    return found ? epochLabel(found.epoch) : '';
  };
  const said = decision.advertise ?? sight.advertised;
  const inClear = after.clear ? ['none'] : [];
  return {
    goal: decision.goal,
    advertised: {
      opens: (said?.opens ?? []).map(epoch => epochLabel(epoch)),
      seals: (said?.seals ?? []).map(epoch => epochLabel(epoch)),
    },
    peers: sight.peers.map(({ name: peer, advertised: { incarnation } }) => ({
      peer,
      incarnation,
      opens: [
        ...inClear,
        ...after.opens.filter(opening => opening.peer === peer).map(({ epoch }) => epochLabel(epoch)),
      ],
      seals: labelOf(after.seals, peer),
      probes: labelOf(after.probes, peer),
    })),
    remarks: remarksOf(epochs),
  };
}

/** What keeps a move from its end, as sentences. */
export function remarksOf({ decision }: NonNullable<RoundState['epochs']>): string[] {
  const { blockedBy, overdue } = decision;
  return [
    ...(blockedBy === undefined
      ? []
      : [`${epochLabel(blockedBy)} with another key has to be retired before its id can be used again`]),
    ...overdue.map(
      ({ peer, epoch }) =>
        `${peer} still seals with ${epochLabel(epoch)}, which is refused since its time has run out: look at the agent of ${peer}`,
    ),
  ];
}

function interfaceStatus(observed: WireGuardObserved, names: Map<string, string>): WireGuardInterface {
  return {
    name: WIREGUARD_DEVICE,
    'listen-port': observed.listenPort,
    'public-key': observed.publicKey ?? '',
    'peer-count': observed.peers.length,
    peers: observed.peers.map(peer => ({
      name: names.get(peer.publicKey) ?? '',
      'public-key': peer.publicKey,
      endpoint: peer.endpoint ? endpointText(peer.endpoint) : '',
      'last-handshake-time':
        peer.lastHandshake === undefined
          ? '0001-01-01T00:00:00Z'
          : new Date(peer.lastHandshake).toISOString(),
      'allowed-ips': peer.allowedIPs,
      'transfer-rx': peer.receivedBytes,
      'transfer-tx': peer.sentBytes,
    })),
  };
}

function endpointText({ address, port }: { address: string; port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
