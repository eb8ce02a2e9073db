/** What this kernel and this process can do: tried, never guessed from a version. */
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { linuxAddon } from './addon.ts';
import { findGenericFamily } from './netlink/generic.ts';
import { scratchNetns } from './netns.ts';
import { applyNft } from './nft.ts';
import { openRtnetlink } from './rtnetlink.ts';
import { tryBlockPolicy, tryEspState } from './xfrm-probe.ts';

export interface Ability {
  ok: boolean;
  /** One sentence with the remedy when not ok. */
  reason?: string;
}

export interface Abilities {
  /** CAP_NET_ADMIN in effect. */
  netAdmin: Ability;
  /** CAP_SYS_ADMIN in effect: entering network namespaces, mounts. */
  sysAdmin: Ability;
  netRaw: Ability;
  /** /dev/net/tun opens and has the vnet header. */
  tun: Ability;
  /** The kernel's own WireGuard (generic netlink family). */
  wireguard: Ability;
  /** ESP with AES-GCM by XFRM: a state can be made. */
  xfrmEsp: Ability;
  /** XFRM policies (block policies work without ESP). */
  xfrmPolicy: Ability;
  nft: Ability;
  vxlan: Ability;
  ipv6: Ability;
}

/** Tries everything in a scratch network namespace; leaves nothing behind. */
export async function probe(): Promise<Abilities> {
  const capabilities = effectiveCapabilities();
  const netAdmin = capability(capabilities, CAP_NET_ADMIN, 'NET_ADMIN');
  const sysAdmin = capability(capabilities, CAP_SYS_ADMIN, 'SYS_ADMIN');
  const given = {
    netAdmin,
    sysAdmin,
    netRaw: capability(capabilities, CAP_NET_RAW, 'NET_RAW'),
    tun: probeTun(),
    ipv6: ability(
      existsSync('/proc/sys/net/ipv6'),
      'the kernel has no IPv6: boot it without ipv6.disable=1, or use IPv4 alone',
    ),
  };
  const missing = [netAdmin, sysAdmin].find(({ ok }) => !ok);
  if (missing) {
    const unknown = {
      wireguard: missing,
      xfrmEsp: missing,
      xfrmPolicy: missing,
      nft: missing,
      vxlan: missing,
    };
    return { ...given, ...unknown };
  }
  const scratch = await scratchNetns();
  try {
    return { ...given, ...(await tryIn(scratch.path)) };
  } finally {
    scratch.close();
  }
}

async function tryIn(netns: string) {
  const [wireguard, xfrmEsp, xfrmPolicy, nft, vxlan] = await Promise.all([
    attempt(NO_WIREGUARD, async () => (await findGenericFamily('wireguard', netns)) !== undefined),
    attempt(NO_ESP, () => tryEspState(netns)),
    attempt(NO_POLICY, () => tryBlockPolicy(netns)),
    attempt('', () => applyNft(NFT_TRIAL, { netns })),
    attempt(NO_VXLAN, () => addVxlan(netns)),
  ]);
  return { wireguard, xfrmEsp, xfrmPolicy, nft, vxlan };
}

const CAP_NET_ADMIN = 12;
const CAP_NET_RAW = 13;
const CAP_SYS_ADMIN = 21;
const IFF_VNET_HDR = 0x4000;

const NO_WIREGUARD =
  'the kernel has no WireGuard: the userspace engine takes its place, or load the module (`modprobe wireguard`)';
const NO_ESP =
  'the kernel cannot make an ESP state with AES-GCM: the userspace engine takes its place, or load the modules (`modprobe esp4 esp6 gcm`)';
const NO_POLICY = 'the kernel has no XFRM policies: it needs CONFIG_XFRM_USER';
const NO_VXLAN = 'the kernel cannot make a vxlan device: load the module (`modprobe vxlan`)';

/** What the agent's own table needs: a NAT chain with masquerade. */
const NFT_TRIAL = `table inet pellicle-probe {
  chain trial {
    type nat hook postrouting priority srcnat
    oifname "lo" masquerade
  }
}
`;

function ability(ok: boolean, reason: string): Ability {
  return ok ? { ok } : { ok, reason };
}

/** Not able when `trial` answers false or throws; `remedy` stands before what the kernel said. */
async function attempt(remedy: string, trial: () => Promise<unknown>): Promise<Ability> {
  try {
    return ability((await trial()) !== false, remedy);
  } catch (error) {
    const said = (error as Error).message;
    return ability(false, remedy ? `${remedy} (${said})` : said);
  }
}

function effectiveCapabilities(): bigint {
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'));
  return BigInt(`0x${line?.[1] ?? '0'}`);
}

function capability(effective: bigint, bit: number, name: string): Ability {
  const ok = ((effective >> BigInt(bit)) & 1n) === 1n;
  return ability(ok, `CAP_${name} is missing: run as root, or add ${name} to the container's capabilities`);
}

function probeTun(): Ability {
  const features = linuxAddon().tunFeatures();
  if (features === -constants.errno.ENOENT || features === -constants.errno.ENODEV) {
    return ability(
      false,
      'there is no /dev/net/tun: load the module (`modprobe tun`) or give the container the device',
    );
  }
  if (features < 0)
    return ability(false, '/dev/net/tun does not open: give the container the device and NET_ADMIN');
  return ability(
    (features & IFF_VNET_HDR) !== 0,
    'the tun driver has no vnet header: it needs a newer kernel',
  );
}

async function addVxlan(netns: string): Promise<void> {
  const rtnetlink = openRtnetlink({ netns });
  try {
    await rtnetlink.addLink({ kind: 'vxlan', name: 'probe', id: 2 });
  } finally {
    rtnetlink.close();
  }
}
