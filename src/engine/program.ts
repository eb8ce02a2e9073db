/**
 * `pellicle-engine [-f] [--ipsec ESPNAME] [NAME]`: a userspace WireGuard interface, driven by `wg`, and one for ESP, driven
 * by words as of `ip xfrm`.
 */
import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
import { parseArgs } from 'node:util';
import project from '../../package.json' with { type: 'json' };
import {
  DEFAULT_ESP_MTU,
  DEFAULT_MTU,
  Engine,
  type EngineDevices,
  ESP_SOCKET_FOLDER,
  SOCKET_FOLDER,
} from './engine.ts';
import type { Giver, Taken } from './handover.ts';
import { offerEngine, takeRunning } from './handover-offer.ts';
import { levelOf, makeLog } from './log.ts';

/** Another process took over: whoever watches over this one need not start it again. */
const TAKEN_OVER_STATUS = 3;

const USAGE = `Usage: pellicle-engine [-f] [--take-over] [--persist] [--mtu N] [--ipsec ESPNAME] [NAME]

A userspace WireGuard: makes the TUN device NAME and serves ${SOCKET_FOLDER}/NAME.sock, so that \`wg\` drives it.
And a userspace ESP: makes the TUN device ESPNAME and serves ${ESP_SOCKET_FOLDER}/ESPNAME.sock, which takes words as of
\`ip xfrm\`. It ends when a socket or a device is removed.

      --ipsec ESPNAME  also, or without NAME only, a device for ESP
  -f, --foreground  stay in the foreground; without it the command returns when device and socket are there
  --persist         the device outlives the engine, and an engine that starts again takes it over
                    (also by PELLICLE_PERSIST=1)
  --mtu N           MTU of a new device (${DEFAULT_MTU}, for ESP ${DEFAULT_ESP_MTU})
      --take-over   go on in the place of the engine that serves these devices, with its sessions and without a packet
                    lost; that one ends with exit status ${TAKEN_OVER_STATUS}, or goes on when it cannot be. Where none runs, start anew
  -h, --help        this text
  --version         the version

Environment: LOG_LEVEL=verbose|error|silent
`;

interface Options {
  name?: string;
  ipsec?: string;
  isForeground: boolean;
  persist: boolean;
  mtu?: number;
  takeOver: boolean;
}

/** What the background process tells the one that started it. */
type Report = { ready: true } | { problem: string };

/** Resolves when the engine runs, or with the exit code set. */
export async function runEngine(args: string[], environment: NodeJS.ProcessEnv): Promise<void> {
  const options = parse(args, environment);
  if (typeof options === 'string') {
    process.stdout.write(options);
  } else if ('problem' in options) {
    fail(options.problem);
  } else if (options.isForeground) {
    await runForeground(options, environment);
  } else {
    await startBackground(args, environment);
  }
}

/** Options, a text to print, or what is wrong. */
function parse(args: string[], environment: NodeJS.ProcessEnv): Options | string | { problem: string } {
  try {
    const { values, positionals } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        foreground: { type: 'boolean', short: 'f' },
        persist: { type: 'boolean' },
        'take-over': { type: 'boolean' },
        mtu: { type: 'string' },
        ipsec: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
      },
    });
    if (values.help) return USAGE;
    if (values.version) return `pellicle-engine ${project.version}\n`;
    const [name, ...more] = positionals;
    const { ipsec } = values;
    if ((!name && ipsec === undefined) || more.length > 0)
      return { problem: 'one interface name is needed: pellicle-engine [-f] [--ipsec ESPNAME] [NAME]' };
    for (const device of [name, ipsec]) {
      if (device === undefined || isDeviceName(device)) continue;
      return {
        problem: `${JSON.stringify(device)} is no interface name: 1 to 15 letters, digits or _ = + . -`,
      };
    }
    if (name === ipsec) return { problem: 'NAME and ESPNAME have to be two' };
    const mtu = values.mtu === undefined ? undefined : Number(values.mtu);
    if (mtu !== undefined && (!Number.isInteger(mtu) || mtu < 576 || mtu > 65_535))
      return { problem: '--mtu has to be 576 to 65535' };
    return {
      ...(name && { name }),
      ...(ipsec && { ipsec }),
      ...(mtu !== undefined && { mtu }),
      takeOver: values['take-over'] === true,
      persist: values.persist === true || environment['PELLICLE_PERSIST'] === '1',
      isForeground: values.foreground === true || environment['WG_PROCESS_FOREGROUND'] === '1',
    };
  } catch (error) {
    return { problem: messageOf(error) };
  }
}

function isDeviceName(name: string): boolean {
  return /^[a-zA-Z0-9_=+.-]{1,15}$/.test(name) && name !== '.' && name !== '..';
}

async function runForeground(options: Options, environment: NodeJS.ProcessEnv): Promise<void> {
  const { name, ipsec } = options;
  const level = levelOf(environment['LOG_LEVEL']);
  const logOf = (device: string) => makeLog(device, level, line => writeSync(2, line));
  const log = logOf(name ?? ipsec ?? '');
  const devices: EngineDevices = { ...(name && { name }), ...(ipsec && { ipsec }) };
  let end: (why: string) => void = () => {};
  let taken: Taken | undefined;
  try {
    if (options.takeOver) taken = takeRunning(devices);
    const engine = await Engine.start({ ...options, logOf, onEnd: why => end(why) }, taken);
    const giver: Giver = { ...devices, carry: () => engine.carry(), resume: () => engine.resume() };
    const offer = offerEngine(giver, log, () => {
      end = () => {};
      void engine.leave().then(() => process.exit(TAKEN_OVER_STATUS));
    });
    end = why => {
      end = () => {};
      log.verbose(`Ending: ${why}`);
      offer.close();
      engine.close();
      process.exit(0);
    };
    process.once('SIGTERM', () => end('SIGTERM'));
    process.once('SIGINT', () => end('SIGINT'));
    log.verbose(taken ? 'Ready, in the place of the engine that ran before' : 'Ready');
    report({ ready: true });
  } catch (error) {
    taken?.refuse(messageOf(error));
    if (process.connected) report({ problem: messageOf(error) });
    else fail(messageOf(error));
    process.exitCode = 1;
  }
}

/** Starts this same program in a session of its own, and waits until it is ready. */
function startBackground(args: string[], environment: NodeJS.ProcessEnv): Promise<void> {
  const level = environment['LOG_LEVEL'];
  const output = level && levelOf(level) !== 'silent' ? 'inherit' : 'ignore';
  const program = process.argv[1]!;
  const child = spawn(process.execPath, [...process.execArgv, program, '-f', ...args], {
    detached: true,
    stdio: ['ignore', output, output, 'ipc'],
    env: environment,
  });
  return new Promise(resolve => {
    let isTold = false;
    child.once('message', (message: Report) => {
      isTold = true;
      if ('problem' in message) fail(message.problem);
      child.disconnect();
      child.unref();
      resolve();
    });
    child.once('error', error => {
      fail(messageOf(error));
      resolve();
    });
    child.once('exit', code => {
      if (!isTold) fail(`the engine ended before it was ready (exit code ${code})`);
      resolve();
    });
  });
}

function report(message: Report): void {
  if (!process.send) return;
  process.send(message, () => process.disconnect?.());
}

function fail(problem: string): void {
  process.stderr.write(`pellicle-engine: ${problem}\n`);
  process.exitCode = 1;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
