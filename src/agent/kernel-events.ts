import type { RtnetlinkEvent } from '../linux/rtnetlink.ts';
import { TABLE } from '../model/names.ts';

/** Why an event of the kernel asks for a round; undefined when it does not. Only what is ours, or what our plan is made from; pods come and go without a round. */
export function reasonOf(event: RtnetlinkEvent): string | undefined {
  switch (event.kind) {
    case 'link':
      return event.link.name.startsWith('lxc') ? undefined : `device ${event.link.name}`;
    case 'route':
      return event.route.table === TABLE.pods || event.route.table === TABLE.nodes ? 'route' : undefined;
    case 'address':
      return 'address';
    case 'rule':
      return 'rule';
    case 'resync':
      return 'resync';
    case 'neighbour':
      return undefined;
  }
}
