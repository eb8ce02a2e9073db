/** Writes a cluster into the person's kubeconfig, and takes it out again; everything else in the file stays as it is. */
import { existsSync } from 'node:fs';
import { mkdir, open, readFile, realpath, rm, rmdir, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { type Document, isMap, isSeq, parseDocument, type YAMLMap, type YAMLSeq } from 'yaml';
import type { ClientIdentity } from './pki.ts';
import { writePrivate } from './pki.ts';
import type { KubeconfigRecord } from './record.ts';

/** The file to write: as kind and kubectl choose, of $KUBECONFIG's list the first that exists, else the last. */
export function kubeconfigPath(env: NodeJS.ProcessEnv = process.env): string {
  const listed = (env['KUBECONFIG'] ?? '').split(':').filter(path => path !== '');
  const chosen = listed.find(path => existsSync(path)) ?? listed.at(-1);
  return chosen ?? join(env['HOME'] || homedir(), '.kube', 'config');
}

/**
 * Adds or replaces cluster, user and context `name` and makes it the current one.
 * Throws a sentence when the name belongs to somebody else's cluster.
 */
export async function addContext(
  path: string,
  name: string,
  server: string,
  identity: ClientIdentity,
  known?: KubeconfigRecord,
): Promise<KubeconfigRecord> {
  if (!(await isFileOrFree(path))) throw new Error(`${path} is no regular file: set KUBECONFIG to one`);
  return await merge(path, name, server, identity, known).catch(error => {
    if (!(error as NodeJS.ErrnoException).code) throw error;
    throw new Error(
      `cannot write ${path} (${(error as Error).message}): set KUBECONFIG to a file that can be written`,
    );
  });
}

async function merge(
  path: string,
  name: string,
  server: string,
  identity: ClientIdentity,
  known?: KubeconfigRecord,
): Promise<KubeconfigRecord> {
  const madeFolder = await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  return await locked(path, async () => {
    const created = !existsSync(path);
    const document = await load(path);
    const base64 = (text: string) => Buffer.from(text).toString('base64');
    const authority = base64(identity.ca);
    const owner = entry(document, 'clusters', name);
    if (owner) {
      const theirs = owner.getIn(['cluster', 'certificate-authority-data']);
      if (theirs !== authority) {
        throw new Error(
          `${path} already has a cluster '${name}' (${String(owner.getIn(['cluster', 'server']))}) that is not this lab's: choose another --name, or remove it with 'kubectl config delete-cluster ${name}'`,
        );
      }
    }
    const previous = document.get('current-context');
    put(document, 'clusters', name, { cluster: { 'certificate-authority-data': authority, server } });
    put(document, 'users', name, {
      user: {
        'client-certificate-data': base64(identity.cert),
        'client-key-data': base64(identity.key),
      },
    });
    const namespace = entry(document, 'contexts', name)?.getIn(['context', 'namespace']);
    put(document, 'contexts', name, {
      context: { cluster: name, user: name, ...(owner && typeof namespace === 'string' && { namespace }) },
    });
    document.set('current-context', name);
    document.set('apiVersion', 'v1');
    document.set('kind', 'Config');
    await save(path, document);
    const remembered = known?.path === path ? known : undefined;
    const createdFolder = remembered?.createdFolder ?? madeFolder;
    const before =
      typeof previous === 'string' && previous !== '' && previous !== name ? previous : undefined;
    return {
      path,
      created: remembered?.created ?? created,
      ...(createdFolder !== undefined && { createdFolder }),
      ...((before ?? remembered?.previousContext) && {
        previousContext: before ?? remembered?.previousContext ?? '',
      }),
    };
  });
}

/** Undoes `addContext`, if cluster `name` is still the one with that authority. True if there was something. */
export async function removeContext(
  record: KubeconfigRecord,
  name: string,
  authority: string | undefined,
): Promise<boolean> {
  const { path } = record;
  if (!existsSync(path) || !(await isFileOrFree(path))) return false;
  return await locked(path, async () => {
    const document = await load(path);
    const owner = entry(document, 'clusters', name);
    const base64 = authority === undefined ? undefined : Buffer.from(authority).toString('base64');
    if (owner && base64 !== undefined && owner.getIn(['cluster', 'certificate-authority-data']) !== base64) {
      return false;
    }
    const removed = ['clusters', 'users', 'contexts'].map(list => drop(document, list, name)).some(Boolean);
    if (document.get('current-context') === name) {
      const previous = record.previousContext;
      const valid = previous !== undefined && entry(document, 'contexts', previous) !== undefined;
      document.set('current-context', valid ? previous : '');
    }
    if (record.created && isEmpty(document)) {
      await rm(path);
    } else if (removed) {
      await save(path, document);
    }
    return removed;
  }).finally(() => removeEmpty(dirname(path), record.createdFolder));
}

/** A device, a pipe or a folder must not be replaced by a file. */
async function isFileOrFree(path: string): Promise<boolean> {
  const there = await stat(path).catch(() => undefined);
  return there === undefined || there.isFile();
}

/** The folder and those above it, up to the first that was made, while nothing else is in them. */
async function removeEmpty(folder: string, first: string | undefined): Promise<void> {
  if (first === undefined || !`${folder}/`.startsWith(`${first}/`)) return;
  const removed = await rmdir(folder).then(
    () => true,
    () => false,
  );
  if (removed) await removeEmpty(dirname(folder), first);
}

async function load(path: string): Promise<Document> {
  const text = await readFile(path, 'utf8').catch(error => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  });
  const document = parseDocument(text);
  if (document.errors.length > 0) {
    throw new Error(
      `${path} is no valid YAML (${document.errors[0]?.message.split('\n')[0]}): mend it first`,
    );
  }
  if (document.contents === null) return parseDocument('apiVersion: v1\nkind: Config\n');
  if (!isMap(document.contents)) throw new Error(`${path} is no kubeconfig: mend it or set KUBECONFIG`);
  return document;
}

/** Through symbolic links, and with the owner that the file or its folder has: with sudo it is not root's. */
async function save(path: string, document: Document): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  const owner = there ?? (await stat(dirname(path)));
  const target = there ? await realpath(path) : path;
  await writePrivate(target, document.toString({ lineWidth: 0 }), owner);
}

function list(document: Document, key: string): YAMLSeq<YAMLMap> | undefined {
  const found = document.get(key);
  return isSeq(found) ? (found as YAMLSeq<YAMLMap>) : undefined;
}

function entry(document: Document, key: string, name: string): YAMLMap | undefined {
  return list(document, key)?.items.find(item => isMap(item) && item.get('name') === name);
}

function put(document: Document, key: string, name: string, value: object): void {
  const item = document.createNode({ name, ...value });
  const sequence = list(document, key);
  if (!sequence || sequence.items.length === 0) document.set(key, document.createNode([item]));
  else {
    const at = sequence.items.findIndex(other => isMap(other) && other.get('name') === name);
    if (at < 0) sequence.items.push(item as YAMLMap);
    else sequence.items[at] = item as YAMLMap;
  }
}

function drop(document: Document, key: string, name: string): boolean {
  const sequence = list(document, key);
  const at = sequence?.items.findIndex(item => isMap(item) && item.get('name') === name) ?? -1;
  if (at < 0) return false;
  sequence!.items.splice(at, 1);
  return true;
}

function isEmpty(document: Document): boolean {
  return ['clusters', 'users', 'contexts'].every(key => (list(document, key)?.items.length ?? 0) === 0);
}

/** kubectl and kind guard a kubeconfig by the file NAME.lock: so do we. */
async function locked<T>(path: string, work: () => Promise<T>): Promise<T> {
  const lock = `${path}.lock`;
  const deadline = Date.now() + 5_000;
  for (;;) {
    try {
      await (await open(lock, 'wx', 0o600)).close();
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (Date.now() > deadline) {
        throw new Error(`${lock} is there: another program writes ${path}; if none does, remove that file`);
      }
      await new Promise(resolve => setTimeout(resolve, 50));
    }
  }
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}
