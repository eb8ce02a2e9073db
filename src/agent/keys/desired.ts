/** The plan of IPsec with the keys that it leaves out: derived for each opening from the master of its epoch. */
import type { IpsecDesired, OpeningKeys } from '../../drivers/driver.ts';
import type { Epoch } from '../../model/epochs/epoch.ts';
import type { IpsecPlan, IpsecPlanPeer } from '../../model/plan.ts';
import { type SealingLimits, sealingLimits } from '../../proto/esp/limits.ts';
import type { Suite } from '../../proto/esp/suite.ts';
import type { MasterKey } from '../../proto/keys/master.ts';

export interface KeySource {
  /** The run of this node's data plane. */
  readonly run: string;
  /** Absent for a key that is not known (any more): its SAs stay as they are. */
  readonly masterOf: (epoch: Epoch) => MasterKey | undefined;
  /** Packets of one SA after which another key should come; 0: as late as the protocol allows. */
  readonly packetLimit: number;
}

export function withKeys(plan: IpsecPlan, source: KeySource): IpsecDesired {
  const { run, masterOf } = source;
  const peers = plan.peers.map(peer => ({
    ...peer,
    openings: peer.openings.map(({ incarnation, epoch }) => {
      const master = masterOf(epoch);
      if (!master) return { incarnation, epoch };
      return { incarnation, epoch, keys: openingKeys(master, peer.tunnel, incarnation, source) };
    }),
  }));
  return { ...plan, run, peers };
}

function openingKeys(
  master: MasterKey,
  tunnel: IpsecPlanPeer['tunnel'],
  incarnation: string,
  { run, packetLimit }: KeySource,
): OpeningKeys {
  const here = { address: tunnel.local, bootId: run };
  const there = { address: tunnel.remote, bootId: incarnation };
  return {
    suite: master.suite,
    out: master.derive({ source: here, destination: there }),
    in: master.derive({ source: there, destination: here }),
    limits: limitsOf(master.suite, packetLimit),
  };
}

/** A limit of one's own is where another key should come; where an SA stops is the protocol's alone. */
export function limitsOf(suite: Suite, packetLimit: number): SealingLimits {
  const limits = sealingLimits(suite, true);
  if (packetLimit === 0) return limits;
  return { ...limits, packets: { due: BigInt(packetLimit), last: limits.packets.last } };
}
