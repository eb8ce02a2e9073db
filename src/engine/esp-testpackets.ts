/** States as the packet loop takes them, for tests. */
import type { Suite } from '../proto/esp/suite.ts';
import { testKeys } from '../proto/esp/testpackets.ts';
import { parseAddress } from '../proto/ip/address.ts';
import { parseCidr } from '../proto/ip/cidr.ts';
import type { NativeState } from './esp-native.ts';
import type { StateSpec } from './esp-request.ts';
import { nativeState } from './esp-table.ts';

export const SPI = 3;

/** From 192.0.2.1 to 192.0.2.2, with 10.9.0.0/16 and fd09::/16 inside. */
export function stateSpec(suite: Suite, fields: Partial<StateSpec> = {}): StateSpec {
  return {
    direction: 'out',
    source: parseAddress('192.0.2.1')!,
    destination: parseAddress('192.0.2.2')!,
    spi: SPI,
    reqid: 0,
    suite,
    keys: testKeys(suite),
    esn: true,
    window: 4096,
    after: 0n,
    limits: {},
    label: '',
    selectors: [parseCidr('10.9.0.0/16')!, parseCidr('fd09::/16')!],
    ...fields,
  };
}

export function testState(suite: Suite, fields: Partial<StateSpec> = {}): NativeState {
  return nativeState({ id: 1, spec: stateSpec(suite, fields), keyName: 'key' });
}
