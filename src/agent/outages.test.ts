import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DriverUnavailable } from '../drivers/driver.ts';
import { Outages } from './outages.ts';
import { GRACE_MS } from './readiness.ts';

const away = new DriverUnavailable('no engine');
const taken = new DriverUnavailable('port taken', 'PortTaken');

test('an outage that lasts is told once, the next one again', () => {
  const { outages, told } = make({ ready: true, deafSince: 0 });
  outages.tell(away, GRACE_MS - 1);
  assert.deepEqual(told, []);
  for (const now of [GRACE_MS, GRACE_MS + 1]) outages.tell(away, now);
  assert.deepEqual(told, ['EngineUnavailable: no engine']);
  outages.tell(taken, GRACE_MS + 2);
  assert.deepEqual(told.slice(1), ['PortTaken: port taken']);
  outages.over();
  outages.tell(taken, GRACE_MS + 3);
  assert.equal(told.length, 3);
});

test('on a node that was never ready only what does not mend by itself is told', () => {
  const { outages, told } = make({ ready: false, deafSince: 0 });
  outages.tell(away, 1e9);
  outages.tell(taken, 0);
  assert.deepEqual(told, ['PortTaken: port taken']);
});

function make(state: { ready: boolean; deafSince: number }) {
  const told: string[] = [];
  const recorder = {
    event: (...[, , reason, , note]: [unknown, unknown, string, string, string]) =>
      void told.push(`${reason}: ${note}`),
  };
  return { told, outages: new Outages({ recorder, nodeName: 'a', state, lookUp: () => undefined }) };
}
