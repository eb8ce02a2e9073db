/** The lab's keys and certificates, made once and kept 0600 in its state folder. */
import { existsSync } from 'node:fs';
import { chown, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  issueAuthority,
  issueLeaf,
  issueSigningKey,
  type KeyPairPem,
  type LeafOptions,
} from './certificates.ts';
import { apiPort, cluster, type LabNode, type LabPaths, network } from './layout.ts';

/** A client's way in, as PEM texts. */
export interface ClientIdentity {
  ca: string;
  cert: string;
  key: string;
}

/**
 * Makes what is missing:
 * `pki/{ca,apiserver,apiserver-kubelet-client,admin,controllers}.{crt,key}`, `pki/sa.{key,pub}`,
 * `pki/controllers.conf`, and for each node `nodes/NODE/{ca.crt,kubelet.conf,pki/kubelet{,-server}.{crt,key}}`.
 */
export async function ensurePki(paths: LabPaths, nodes: LabNode[], now: Date): Promise<void> {
  const { pki } = paths;
  await mkdir(pki, { recursive: true, mode: 0o700 });
  if (!existsSync(join(pki, 'sa.pub'))) {
    const signing = await issueSigningKey();
    await writePrivate(join(pki, 'sa.key'), signing.privateKey);
    await writePrivate(join(pki, 'sa.pub'), signing.publicKey);
  }
  if (!existsSync(join(pki, 'ca.crt'))) {
    await writePair(pki, 'ca', await issueAuthority({ commonName: 'kubernetes' }, now));
  }
  const authority = await readPair(pki, 'ca');
  const leaf = async (folder: string, name: string, options: LeafOptions) => {
    if (existsSync(join(folder, `${name}.crt`))) return;
    await writePair(folder, name, await issueLeaf(authority, options, now));
  };
  const master = nodes[0]!;
  await Promise.all([
    leaf(pki, 'apiserver', { commonName: 'kube-apiserver', hosts: apiServerNames(master) }),
    leaf(pki, 'apiserver-kubelet-client', {
      commonName: 'kube-apiserver-kubelet-client',
      organizations: ['system:masters'],
    }),
    leaf(pki, 'admin', { commonName: 'kubernetes-admin', organizations: ['system:masters'] }),
    leaf(pki, 'controllers', {
      commonName: 'system:kube-controller-manager',
      organizations: ['system:masters'],
    }),
    ...nodes.map(node => nodeIdentity(node, paths, leaf)),
  ]);
  const server = `https://${master.addresses[0]}:${apiPort}`;
  await writePrivate(
    join(pki, 'controllers.conf'),
    kubeconfigText(server, 'system:kube-controller-manager', {
      ca: authority.cert,
      ...(await readPair(pki, 'controllers')),
    }),
  );
  await Promise.all(
    nodes.map(async node => {
      const folder = join(paths.nodes, node.name);
      const identity = { ca: authority.cert, ...(await readPair(join(folder, 'pki'), 'kubelet')) };
      await writePrivate(join(folder, 'ca.crt'), authority.cert);
      await writePrivate(
        join(folder, 'kubelet.conf'),
        kubeconfigText(server, `system:node:${node.name}`, identity),
      );
    }),
  );
}

export async function adminIdentity(pki: string): Promise<ClientIdentity> {
  return { ca: await readFile(join(pki, 'ca.crt'), 'utf8'), ...(await readPair(pki, 'admin')) };
}

function apiServerNames(master: LabNode): string[] {
  return [
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    `kubernetes.default.svc.${cluster.domain}`,
    'localhost',
    master.name,
    cluster.kubernetesService,
    '127.0.0.1',
    network.tapAddress,
    ...master.addresses,
  ];
}

async function nodeIdentity(
  node: LabNode,
  paths: LabPaths,
  leaf: (folder: string, name: string, options: LeafOptions) => Promise<void>,
): Promise<void> {
  const folder = join(paths.nodes, node.name, 'pki');
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const subject = { commonName: `system:node:${node.name}`, organizations: ['system:nodes'] };
  await leaf(folder, 'kubelet', subject);
  await leaf(folder, 'kubelet-server', { ...subject, hosts: [node.name, ...node.addresses] });
}

/** JSON is YAML; no library is needed to write one. */
export function kubeconfigText(server: string, user: string, identity: ClientIdentity): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return (
    JSON.stringify(
      {
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [{ name: 'lab', cluster: { server, 'certificate-authority-data': base64(identity.ca) } }],
        users: [
          {
            name: user,
            user: {
              'client-certificate-data': base64(identity.cert),
              'client-key-data': base64(identity.key),
            },
          },
        ],
        contexts: [{ name: 'lab', context: { cluster: 'lab', user } }],
        'current-context': 'lab',
      },
      null,
      2,
    ) + '\n'
  );
}

async function readPair(folder: string, name: string): Promise<KeyPairPem> {
  const [cert, key] = await Promise.all(
    ['crt', 'key'].map(suffix => readFile(join(folder, `${name}.${suffix}`), 'utf8')),
  );
  return { cert: cert!, key: key! };
}

/** The key first: a certificate that is there means that the pair is whole. */
async function writePair(folder: string, name: string, pair: KeyPairPem): Promise<void> {
  await writePrivate(join(folder, `${name}.key`), pair.key);
  await writePrivate(join(folder, `${name}.crt`), pair.cert);
}

/** Atomically, readable by the owner alone. */
export async function writePrivate(
  path: string,
  text: string,
  owner?: { uid: number; gid: number },
): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, text, { mode: 0o600 });
    if (owner) await chown(temporary, owner.uid, owner.gid);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
