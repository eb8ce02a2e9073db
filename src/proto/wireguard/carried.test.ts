import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Endpoint, Peer, Traffic } from './api.ts';
import { Device } from './device.ts';
import { seededRandom } from './testlink.ts';

const HERE: Endpoint = { address: '192.0.2.1', port: 1 };
const THERE: Endpoint = { address: '192.0.2.2', port: 2 };
const ELSEWHERE: Endpoint = { address: '198.51.100.7', port: 7 };

type Step =
  | { what: Traffic }
  | { what: 'wait'; milliseconds: number }
  | {
      what:
        | 'partner'
        | 'deliver'
        | 'exchange'
        | 'again'
        | 'lose'
        | 'carry'
        | 'load'
        | 'tie'
        | 'release'
        | 'bounce';
    }
  | { what: 'move'; endpoint: Endpoint }
  | { what: 'keepalive'; seconds: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    what: fc.constantFrom<Traffic>('staged', 'dataSent', 'dataReceived', 'rekeyNeeded', 'confirmed'),
  }),
  fc.record({
    what: fc.constant('wait' as const),
    milliseconds: fc.oneof(fc.nat(400), fc.integer({ min: 5000, max: 6000 }), fc.nat(200_000)),
  }),
  fc.record({
    what: fc.constantFrom(
      ...([
        'partner',
        'deliver',
        'exchange',
        'exchange',
        'again',
        'lose',
        'load',
        'tie',
        'release',
        'bounce',
      ] as const),
    ),
  }),
  fc.constant({ what: 'carry' as const }),
  fc.record({ what: fc.constant('move' as const), endpoint: fc.constantFrom(THERE, ELSEWHERE) }),
  fc.record({ what: fc.constant('keepalive' as const), seconds: fc.nat(30) }),
);

/** Two devices that get the same: one lives on, the other is carried over from process to process. */
class Twins {
  now = 1_000_000;
  readonly #partner: Device;
  readonly #toTwins: Peer;
  #devices: [whole: Device, carried: Device];
  readonly #randoms = [seededRandom('twin'), seededRandom('twin')] as const;
  /** Messages on their way. */
  #forTwins: Uint8Array[] = [];
  #forPartner: Uint8Array[] = [];

  #isLoaded = false;
  #indexes: number[] = [];
  #heard: Uint8Array | undefined;

  constructor(seed: string) {
    this.#devices = [this.#device(this.#randoms[0]), this.#device(this.#randoms[1])];
    this.#partner = this.#device(seededRandom('partner'));
    this.#partner.setPrivateKey(seededRandom(`partner ${seed}`)(32), this.now);
    for (const device of this.#devices) {
      device.setPrivateKey(seededRandom(`twin ${seed}`)(32), this.now);
      const peer = device.upsertPeer(this.#partner.publicKey!)!;
      peer.setPresharedKey(seededRandom('preshared')(32));
      peer.setEndpoint(THERE, this.now);
    }
    this.#toTwins = this.#partner.upsertPeer(this.#devices[0].publicKey!)!;
    this.#toTwins.setPresharedKey(seededRandom('preshared')(32));
    this.#toTwins.setEndpoint(HERE, this.now);
    this.#settle();
  }

  /** Of the one that lives on. */
  get lastHandshake(): Peer['lastHandshake'] {
    return peerOf(this.#devices[0]).lastHandshake;
  }

  take(step: Step): void {
    switch (step.what) {
      case 'wait':
        this.#wait(step.milliseconds);
        break;
      case 'carry':
        this.#devices[1] = this.#device(this.#randoms[1], structuredClone(this.#devices[1].carry()));
        break;
      case 'partner':
        this.#partner.handleTraffic(this.#toTwins, 'rekeyNeeded', this.now);
        break;
      case 'load':
        this.#isLoaded = !this.#isLoaded;
        this.#partner.setUnderLoad(this.#isLoaded, this.now);
        break;
      case 'deliver':
        this.#deliver();
        break;
      case 'exchange':
        while (this.#forTwins.length + this.#forPartner.length > 0) this.#deliver();
        break;
      case 'again':
        if (this.#heard) this.#hear(this.#heard);
        break;
      case 'tie':
        this.#wait(6000);
        this.take({ what: 'rekeyNeeded' });
        this.take({ what: 'partner' });
        this.#deliver();
        break;
      case 'lose':
        this.#forTwins.shift();
        this.#forPartner.shift();
        break;
      case 'bounce':
        for (const up of [false, true]) {
          for (const device of this.#devices) device.setUp(up, this.now);
          this.#settle();
        }
        break;
      case 'release': {
        const index = this.#indexes.shift();
        if (index !== undefined) for (const device of this.#devices) device.handleReleased(index);
        break;
      }
      default:
        for (const device of this.#devices) this.#tell(device, step);
    }
    this.#settle();
  }

  #wait(milliseconds: number): void {
    this.now += milliseconds;
    for (const device of [...this.#devices, this.#partner]) device.handleTimeout(this.now);
    this.#settle();
  }

  /** What both sides have sent crosses. */
  #deliver(): void {
    const [forTwins, forPartner] = [this.#forTwins.shift(), this.#forPartner.shift()];
    if (forPartner) this.#partner.handleDatagram(forPartner, HERE, this.now);
    if (forTwins) this.#hear(forTwins);
    this.#settle();
  }

  #hear(message: Uint8Array): void {
    this.#heard = message;
    const [whole, carried] = this.#devices.map(device => device.handleDatagram(message, THERE, this.now));
    assert.equal(carried, whole);
  }

  #tell(device: Device, step: Extract<Step, { what: 'move' | 'keepalive' | Traffic }>): void {
    const peer = peerOf(device);
    if (step.what === 'move') peer.setEndpoint(step.endpoint, this.now);
    else if (step.what === 'keepalive') peer.setPersistentKeepalive(step.seconds, this.now);
    else device.handleTraffic(peer, step.what, this.now);
  }

  /** What both say and want has to be the same. */
  #settle(): void {
    const [whole, carried] = this.#devices.map(device => drained(device));
    assert.deepStrictEqual(carried, whole);
    const { events: _, transmits } = drained(this.#partner);
    for (const event of whole!.events) if ('keypair' in event) this.#indexes.push(event.keypair.localIndex);
    this.#forTwins.push(...transmits.map(({ bytes }) => bytes));
    this.#forPartner.push(...whole!.transmits.map(({ bytes }) => bytes));
  }

  #device(random: (bytes: number) => Uint8Array, carried?: ReturnType<Device['carry']>): Device {
    const wallClock = () => ({ seconds: 1_700_000_000 + Math.floor(this.now / 1000), nanos: 0 });
    // What the packet loop saw: nothing but that there was traffic a second ago.
    const activity = () => {
      const at = this.now - 1000;
      return { lastSent: at, lastReceived: at, unansweredSince: at, unacknowledgedSince: at };
    };
    return new Device({ random, now: this.now, wallClock, activity, ...(carried && { carried }) });
  }
}

function peerOf(device: Device): Peer {
  const [peer] = device.peers.values();
  return peer!;
}

function drained(device: Device) {
  const events = [];
  for (let event = device.pollEvent(); event; event = device.pollEvent()) {
    const { peer, ...rest } = event;
    events.push({ ...rest, peer: peer.id });
  }
  const transmits = [];
  for (let next = device.pollTransmit(); next; next = device.pollTransmit())
    transmits.push({ to: next.to, bytes: next.bytes });
  const { presharedKey, endpoint, persistentKeepalive, lastHandshake, sentBytes, receivedBytes } =
    peerOf(device);
  return {
    events,
    transmits,
    next: device.nextTimeout(),
    drops: device.drops,
    timestamp: device.timestamp,
    privateKey: device.privateKey,
    peer: { presharedKey, endpoint, persistentKeepalive, lastHandshake, sentBytes, receivedBytes },
  };
}

describe('a device that is carried over', () => {
  test('does at every moment what it would have done', () => {
    fc.assert(
      fc.property(fc.string(), fc.array(step, { minLength: 1, maxLength: 100 }), (seed, steps) => {
        const twins = new Twins(seed);
        for (const each of steps) twins.take(each);
      }),
      { numRuns: 300 },
    );
  });

  test('goes on with a handshake that had begun', () => {
    const twins = new Twins('begun');
    for (const what of ['staged', 'carry', 'deliver', 'carry', 'deliver', 'carry'] as const)
      twins.take({ what });
    assert.ok(twins.lastHandshake);
  });

  test('goes on where both sides had begun, whichever goes first', () => {
    for (let seed = 0; seed < 10; seed++) {
      const twins = new Twins(`tie ${seed}`);
      for (const what of ['tie', 'carry', 'deliver', 'carry', 'deliver', 'carry'] as const)
        twins.take({ what });
      twins.take({ what: 'wait', milliseconds: 300 });
      assert.ok(twins.lastHandshake);
    }
  });

  test('knows its sessions: when they began, and what the packet loop has of them', () => {
    const twins = new Twins('sessions');
    for (const what of ['staged', 'exchange', 'carry'] as const) twins.take({ what });
    twins.take({ what: 'wait', milliseconds: 100 });
    twins.take({ what: 'move', endpoint: ELSEWHERE });
    for (const what of ['exchange', 'carry', 'release', 'bounce'] as const) twins.take({ what });
  });

  test('knows the cookie that it was given, and what was played to it before', () => {
    const twins = new Twins('cookie');
    for (const what of ['load', 'staged', 'exchange', 'carry'] as const) twins.take({ what });
    twins.take({ what: 'wait', milliseconds: 6000 });
    for (const what of ['exchange', 'load'] as const) twins.take({ what });
    twins.take({ what: 'wait', milliseconds: 6000 });
    for (const what of ['partner', 'exchange', 'carry', 'again'] as const) twins.take({ what });
    assert.ok(twins.lastHandshake);
  });
});
