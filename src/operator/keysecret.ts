/** The Secret with the key of IPsec, as the operator and the command line read and write it. */
import type { Secret } from '../kube/types.ts';
import { type Epoch, ipsecEpoch } from '../model/epochs/epoch.ts';
import type { MasterKey } from '../proto/keys/master.ts';
import { describeProblems, parseSecret } from '../proto/keys/secret.ts';

export const KEY_SECRET = 'cilium-ipsec-keys';
/** In the Secret's data. */
export const KEY_FIELD = 'keys';
/** When the key was made, RFC 3339. */
export const CREATED_ANNOTATION = 'pellicle.io/key-created';
/** The epoch for which that holds: whoever writes a key by hand leaves both as they were. */
export const CREATED_FOR_ANNOTATION = 'pellicle.io/key-created-for';

export type KeySecret = GoodKeySecret | BadKeySecret;

interface KeySecretOrigin {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly resourceVersion: string;
}

export interface GoodKeySecret extends KeySecretOrigin {
  /** In the order of the lines, the one to seal with last. */
  readonly keys: readonly MasterKey[];
  readonly current: MasterKey;
  /** Of the current key. */
  readonly epoch: Epoch;
  /** Unix milliseconds, of the current key; undefined when nothing tells. */
  readonly created: number | undefined;
  readonly warnings: readonly string[];
}

export interface BadKeySecret extends KeySecretOrigin {
  /** What is wrong and what to write; never what may be a key. */
  readonly problem: string;
}

export function readKeySecret(secret: Secret): KeySecret {
  const { name, namespace = '', uid = '', resourceVersion = '' } = secret.metadata;
  const origin = { name, namespace, uid, resourceVersion };
  const encoded = secret.data?.[KEY_FIELD];
  if (encoded === undefined) {
    const others = Object.keys(secret.data ?? {});
    const instead = others.length > 0 ? ` (it has ${others.join(', ')})` : '';
    return { ...origin, problem: `there is no "${KEY_FIELD}" in its data${instead}: write the key there` };
  }
  const parsed = parseSecret(Buffer.from(encoded, 'base64').toString('utf8'));
  if ('problems' in parsed) return { ...origin, problem: describeProblems(parsed.problems) };
  const { keys, current, warnings } = parsed;
  const epoch = ipsecEpoch(current);
  return { ...origin, keys, current, epoch, created: createdAt(secret, epoch), warnings };
}

export function newKeySecret(name: string, namespace: string, key: MasterKey, now: Date): Secret {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace, annotations: annotations(key, now) },
    type: 'Opaque',
    data: { [KEY_FIELD]: encode(key) },
  };
}

/** A merge patch that puts the key in the place of all there are, unless somebody wrote the Secret meanwhile (409). */
export function replaceKey({ resourceVersion }: KeySecretOrigin, key: MasterKey, now: Date): object {
  return {
    metadata: { resourceVersion, annotations: annotations(key, now) },
    data: { [KEY_FIELD]: encode(key) },
  };
}

function annotations(key: MasterKey, now: Date): Record<string, string> {
  return {
    [CREATED_ANNOTATION]: `${now.toISOString().slice(0, 19)}Z`,
    [CREATED_FOR_ANNOTATION]: ipsecEpoch(key),
  };
}

function encode(key: MasterKey): string {
  return Buffer.from(key.secretLine()).toString('base64');
}

/** As the annotation has it; of a key that was written by hand, when the API server saw that. */
function createdAt({ metadata }: Secret, epoch: Epoch): number | undefined {
  const { annotations = {}, managedFields = [], creationTimestamp = '' } = metadata;
  if (annotations[CREATED_FOR_ANNOTATION] === epoch) {
    const said = Date.parse(annotations[CREATED_ANNOTATION] ?? '');
    if (!Number.isNaN(said)) return said;
  }
  const written = managedFields.map(writtenAt).filter(time => !Number.isNaN(time));
  const known = written.length > 0 ? Math.max(...written) : Date.parse(creationTimestamp);
  return Number.isNaN(known) ? undefined : known;
}

/** When the owner of the data last wrote; NaN for owners of other fields. */
function writtenAt(entry: unknown): number {
  const { time, fieldsV1 } = entry as {
    time?: string;
    fieldsV1?: { 'f:data'?: Record<string, unknown> };
  };
  return fieldsV1?.['f:data']?.[`f:${KEY_FIELD}`] === undefined ? Number.NaN : Date.parse(time ?? '');
}
