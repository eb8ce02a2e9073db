/** The node's WireGuard private key: 32 raw bytes in a file that only its owner reads, kept over restarts. */
import { randomBytes, randomUUID } from 'node:crypto';
import { chmod, link, mkdir, open, readFile, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

export interface StoredKey {
  privateKey: Uint8Array;
  /** True: made just now. */
  fresh: boolean;
  /** True: others could read the file until now. */
  wasExposed: boolean;
}

/**
 * The key in the file, or a new one put there. Of two processes that make one at once, one wins and both have its key.
 * Throws when the file holds anything but a key: a key is never overwritten.
 */
export async function loadOrCreateKey(
  path: string,
  random: (bytes: number) => Uint8Array = randomBytes,
): Promise<StoredKey> {
  const found = await readKey(path);
  if (found) return found;
  await mkdir(dirname(path), { recursive: true, mode: 0o750 });
  await createKey(path, random(32));
  const made = await readKey(path);
  if (!made) throw new Error(`the key file ${path} vanished while it was made`);
  return { ...made, fresh: true };
}

export async function removeKey(path: string): Promise<void> {
  await rm(path, { force: true });
}

async function readKey(path: string): Promise<StoredKey | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  if (bytes.length !== 32 || bytes.every(byte => byte === 0)) {
    throw new Error(
      `${path} is no WireGuard key (32 bytes): move it away, and the agent makes a new one when it starts`,
    );
  }
  const { mode } = await stat(path);
  const wasExposed = (mode & 0o077) !== 0;
  if (wasExposed) await chmod(path, 0o600);
  return { privateKey: clamp(bytes), fresh: false, wasExposed };
}

/** Whole or not at all: a temporary file, then a hard link, which fails if the name is taken. */
async function createKey(path: string, key: Uint8Array): Promise<void> {
  const temporary = `${path}.${randomUUID()}`;
  const file = await open(temporary, 'w', 0o600);
  try {
    await file.writeFile(clamp(key));
    await file.sync();
    await link(temporary, path).catch(error => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await file.close();
    await rm(temporary, { force: true });
  }
}

/** As `wg genkey` does (RFC 7748, 5), so that every tool shows the same bytes. */
function clamp(key: Uint8Array): Uint8Array {
  const clamped = Uint8Array.from(key);
  clamped[0]! &= 248;
  clamped[31] = (clamped[31]! & 127) | 64;
  return clamped;
}
