/** Where an engine waits to be taken over: a unix socket named after its first device. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { listenUnix, type UnixConnection } from '../linux/unix-socket.ts';
import { type EngineDevices, ESP_SOCKET_FOLDER } from './engine.ts';
import { type Giver, giveEngine, type Taken, takeEngine } from './handover.ts';
import { Channel, firstMessage } from './handover-channel.ts';
import type { Log } from './log.ts';
import { engineAddon } from './native.ts';

/** Whoever connects and says nothing, or half a word, is not waited for longer. */
const SILENCE_MS = 5000;

export interface Offer {
  close(): void;
}

/** Until it is taken over, then calls `onGiven`: the engine is the new process's. */
export function offerEngine(giver: Giver, log: Log, onGiven: () => void): Offer {
  const [path] = pathsOf(giver);
  if (path === undefined) throw new Error('an engine without devices has nothing to give');
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  let isOver = false;
  const server = listenUnix(path, 0o600, connection => void give(connection));
  async function give(connection: UnixConnection): Promise<void> {
    const silence = setTimeout(() => connection.close(), SILENCE_MS);
    const hello = await firstMessage(connection).catch(() => undefined);
    clearTimeout(silence);
    if (isOver || !hello) {
      connection.close();
      if (!isOver) log.error('Was not taken over, and goes on: the other process says no hello');
      return;
    }
    const channel = new Channel(connection.giveAway());
    const outcome = giveEngine(channel, giver, hello);
    channel.close();
    isOver = outcome.given;
    if (!outcome.given) {
      log.error(`Was not taken over, and goes on: ${outcome.why}`);
      return;
    }
    log.verbose(
      `Taken over by another process, after standing still for ${outcome.milliseconds.toFixed(1)} ms`,
    );
    // Its file is the new one's to replace, which is at it already.
    server.leave();
    onGiven();
  }
  return server;
}

/** Undefined when no engine with one of the devices runs. Throws with a sentence when it refuses. */
export function takeRunning(devices: EngineDevices): Taken | undefined {
  // While the other one still works.
  engineAddon();
  for (const path of pathsOf(devices)) {
    const channel = Channel.connect(path);
    if (channel) return takeEngine(channel, devices);
  }
  return undefined;
}

function pathsOf({ name, ipsec }: EngineDevices): string[] {
  return [name, ipsec]
    .filter(device => device !== undefined)
    .map(device => `${ESP_SOCKET_FOLDER}/${device}.handover`);
}
