/** Where this node is to move, as which run of itself, and with which others it can have epochs at all. */
import type { IpsecObserved } from '../../drivers/driver.ts';
import type { AgentConfig } from '../../model/config.ts';
import type { Advertisement } from '../../model/epochs/advertisement.ts';
import { type Epoch, ipsecEpoch, isKeyedByRun, keyIdOf } from '../../model/epochs/epoch.ts';
import type { Plane } from '../../model/epochs/plane.ts';
import { targetWithoutKey } from '../../model/epochs/sight.ts';
import { familyOf, firstUsable } from '../../model/net.ts';
import type { ClusterNode } from '../../model/node.ts';
import type { SelfNode } from '../../model/snapshot.ts';
import type { MasterKey } from '../../proto/keys/master.ts';

/**
 * What configuration and Secret ask for. While there is no key that could be taken, it is what the node has advertised:
 * what works goes on. Undefined: nothing can be done before there is a key.
 */
export function targetOf(
  { encryption }: AgentConfig,
  current: MasterKey | undefined,
  said: Advertisement | undefined,
  clear: boolean,
): Epoch | undefined {
  if (encryption === 'disabled') return 'none';
  if (encryption === 'wireguard') return 'wireguard';
  if (current) return ipsecEpoch(current);
  const before = targetWithoutKey(said) ?? said?.opens.at(-1);
  return before === 'none' && !clear ? undefined : before;
}

/** Whether packets could go to the node and come from it; one that lacks something would hold up all others. */
export function canBePeer(self: SelfNode, peer: ClusterNode, target: Epoch): boolean {
  const shares = (mine: readonly string[], theirs: readonly string[]) =>
    theirs.some(address => mine.some(own => familyOf(own) === familyOf(address)));
  if (!shares(self.podCIDRs, peer.podCIDRs) || !shares(self.addresses, peer.addresses)) return false;
  return target === 'wireguard' || shares(self.podCIDRs.map(firstUsable), peer.internal);
}

/**
 * Whether the run of this node is that of its engine, which makes the keys of IPsec, and not that of the kernel. Without
 * IPsec it is not: a cluster that switches to WireGuard as its engines start has the same run before and after.
 */
export function isKeyedByEngine(
  { encryption }: AgentConfig,
  said: Advertisement | undefined,
  ipsec: IpsecObserved | undefined,
): boolean {
  const epochs = [...(said?.opens ?? []), ...(said?.seals ?? [])];
  return encryption === 'ipsec' || epochs.some(isKeyedByRun) || (ipsec?.states.length ?? 0) > 0;
}

/** The id of the key that is sealed with: the old one as long as any peer's traffic is. */
export function sealingKeyId({ seals }: Plane, target: Epoch): number | undefined {
  const old = seals.find(({ epoch }) => epoch !== target && keyIdOf(epoch) !== undefined);
  return keyIdOf(old?.epoch ?? target);
}
