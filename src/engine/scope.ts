/**
 * The scope of an endpoint, `fe80::1%eth0`, as it is told to others. `wg` crashes on the name of an interface that is not in
 * its own namespace, or that is gone; numbers it takes everywhere, and shows as names where it can.
 */
import { readFileSync } from 'node:fs';

/** With the number of the interface for its name; without a scope when there is no such interface. */
export function withNumberedScope(address: string): string {
  const [bare = '', scope] = address.split('%');
  if (scope === undefined || /^[0-9]+$/.test(scope)) return address;
  const index = indexOf(scope);
  return index === undefined ? bare : `${bare}%${index}`;
}

/** Of an interface of the namespace where the sockets are. */
function indexOf(name: string): string | undefined {
  try {
    const counters = readFileSync(`/proc/self/net/dev_snmp6/${name}`, 'latin1');
    return /^ifIndex\s+([0-9]+)/.exec(counters)?.[1];
  } catch {
    return undefined;
  }
}
