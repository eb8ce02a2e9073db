/** Planes for tests of plans. */
import type { Epoch } from './epochs/epoch.ts';
import { EMPTY_PLANE, type Plane } from './epochs/plane.ts';
import type { NodeObject } from './node.ts';

export const KEY3: Epoch = 'ipsec/3/9c1185a5c5e9fc54';
export const KEY4: Epoch = 'ipsec/4/1b4f0e9851971998';
export const RUN = '11111111-2222-3333-4444-555555555555';

/** All has come to rest: every peer is opened and sealed by this epoch. */
export function restingPlane(nodes: readonly NodeObject[], epoch: Epoch): Plane {
  const ways = nodes.map(({ metadata }) => ({ peer: metadata.name, incarnation: RUN, epoch }));
  if (epoch === 'none') return { ...EMPTY_PLANE, clear: true, seals: ways };
  return { ...EMPTY_PLANE, opens: ways, seals: ways };
}
