/** Looks after the key of IPsec: rotates it when that is due, and tells in Events and metrics what becomes of it. */
import { randomBytes } from 'node:crypto';
import { isConflict, isNotFound, type KubeClient } from '../kube/client.ts';
import type { Recorder } from '../kube/events.ts';
import { Reflector } from '../kube/reflector.ts';
import { type CiliumNode, type Node, type ObjectReference, SECRETS, type Secret } from '../kube/types.ts';
import type { Epoch } from '../model/epochs/epoch.ts';
import { newMasterKey } from '../proto/keys/generate.ts';
import type { KeyId } from '../proto/keys/keyid.ts';
import { epochText, moveTo } from './advertised.ts';
import { type GoodKeySecret, type KeySecret, readKeySecret, replaceKey } from './keysecret.ts';
import type { Metrics } from './metrics.ts';
import { aliveNodes, judgeRotation, type RotationCause, wordsOf } from './rotation.ts';

export interface KeyTenderOptions {
  client: KubeClient;
  recorder: Recorder;
  metrics: Metrics;
  log: (message: string) => void;
  namespace: string;
  secretName: string;
  /** Milliseconds; 0: no rotation by age. */
  interval: number;
  /** Unix milliseconds. */
  wallClock?: () => number;
}

export class KeyTender {
  readonly #options: KeyTenderOptions;
  readonly #secrets: Reflector<Secret>;
  /** The move that is under way, to tell when it has ended. */
  #moving: Epoch | undefined;
  /** What was told last of a rotation that cannot be made. */
  #held = '';

  constructor(options: KeyTenderOptions) {
    const { client, log, namespace, secretName } = options;
    this.#options = options;
    const fieldSelector = `metadata.name=${secretName}`;
    this.#secrets = new Reflector(client, SECRETS, { namespace, fieldSelector, log });
  }

  start(): void {
    this.#secrets.start();
  }

  stop(): void {
    this.#secrets.stop();
  }

  /** One look, and a rotation if it is due. */
  async tend(nodes: readonly Node[], ciliumNodes: readonly CiliumNode[]): Promise<void> {
    await this.#secrets.synced;
    const { namespace, secretName, interval } = this.#options;
    const object = this.#secrets.get(secretName, namespace);
    const secret = object && readKeySecret(object);
    const words = wordsOf(ciliumNodes);
    const alive = aliveNodes(nodes);
    const now = this.#now();
    this.#measure(secret, now);
    if (secret && 'epoch' in secret) {
      const move = moveTo(secret.epoch, words);
      this.#tellOfMove(secret, move.settled, move.done.length);
    }
    const verdict = judgeRotation({ now, interval, secret, words, alive });
    if (verdict.what === 'rotate' && secret && 'epoch' in secret)
      await this.#rotate(secret, verdict.id, verdict.cause, verdict.why);
    if (verdict.what === 'hold') this.#hold(secret, verdict);
    else this.#held = '';
  }

  async #rotate(secret: GoodKeySecret, id: KeyId, cause: RotationCause, why: string): Promise<void> {
    const { client, metrics, log, recorder, namespace, secretName } = this.#options;
    const key = newMasterKey(id, secret.current.suite, bytes => new Uint8Array(randomBytes(bytes)));
    try {
      const body = replaceKey(secret, key, new Date(this.#now()));
      await client.patch<Secret>(SECRETS, secretName, namespace, body, 'merge');
    } catch (error) {
      // Somebody else was faster, perhaps with a key of their own: the next look decides.
      if (isConflict(error) || isNotFound(error))
        return log(`key ${secret.current.id} was not rotated: ${(error as Error).message}`);
      throw error;
    }
    metrics.keyRotations[cause]++;
    const note = `Key ${secret.current.id} is followed by key ${id}: ${why}.`;
    log(note);
    recorder.event(this.#reference(secret), 'Normal', 'KeyRotationStarted', 'RotateKey', note);
  }

  #tellOfMove(secret: GoodKeySecret, settled: boolean, nodes: number): void {
    if (settled && this.#moving === secret.epoch) {
      const note = `All ${nodes} nodes seal with ${epochText(secret.epoch)} and nothing else.`;
      this.#options.log(note);
      this.#options.recorder.event(this.#reference(secret), 'Normal', 'KeyRotated', 'RotateKey', note);
    }
    this.#moving = settled ? undefined : secret.epoch;
  }

  #hold(
    secret: KeySecret | undefined,
    { why, obstacle, transient }: { why: string; obstacle: string; transient: boolean },
  ): void {
    const { log, recorder, namespace, secretName } = this.#options;
    const note = `The key should be rotated, because ${why}; but ${obstacle}.`;
    // What passes by itself changes its words all the time.
    const told = transient ? `transient ${why}` : note;
    if (told === this.#held) return;
    this.#held = told;
    log(note);
    if (transient) return;
    const about = secret
      ? this.#reference(secret)
      : { apiVersion: 'v1', kind: 'Secret', name: secretName, namespace };
    recorder.event(about, 'Warning', 'KeyRotationBlocked', 'RotateKey', note);
  }

  #measure(secret: KeySecret | undefined, now: number): void {
    const { metrics } = this.#options;
    const good = secret && 'epoch' in secret ? secret : undefined;
    metrics.key = {
      usable: good !== undefined,
      rotating: this.#moving !== undefined,
      ...(good && { id: good.current.id }),
      ...(good?.created !== undefined && { ageSeconds: Math.max(0, now - good.created) / 1000 }),
    };
  }

  #reference({ name, namespace, uid }: KeySecret): ObjectReference {
    return { apiVersion: 'v1', kind: 'Secret', name, namespace, uid };
  }

  #now(): number {
    return this.#options.wallClock?.() ?? Date.now();
  }
}
