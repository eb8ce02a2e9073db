/** strongSwan with kernel-libipsec, its ESP in user space, between two namespaces (see ground.ts): AES-128-GCM by IKEv2. */
import { type ChildProcess, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '../engine/pair.ts';
import { cpuSeconds, runIn, startIn } from './command.ts';
import { type Carriage, ESP_MTU, lay, outerAddresses } from './espbed.ts';
import { IperfServer, ip, nameOf, type Tunnelled, untilPackets } from './ground.ts';

const CHARON = '/usr/lib/ipsec/charon';
const PLUGIN = '/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so';
/** Made by kernel-libipsec, for all that it seals. */
const DEVICE = 'ipsec0';

/** Its name with the version, or undefined when it, its control or the plugin is not installed. */
export function findStrongswan(): string | undefined {
  if (!existsSync(CHARON) || !existsSync(PLUGIN)) return undefined;
  const run = spawnSync(CHARON, ['--version'], { encoding: 'utf8', timeout: 5_000 });
  const [, version] = /strongSwan (\S+)/.exec(run.stdout ?? '') ?? [];
  return version && `strongSwan ${version} kernel-libipsec`;
}

export class StrongswanBed implements Tunnelled {
  readonly name: string;
  readonly left: { netns: string };
  readonly right: { netns: string; device: string };
  readonly #carriage: Carriage;
  readonly #server: IperfServer;
  readonly #daemons: ChildProcess[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), 'pellicle-bench-'));

  constructor(name: string, number: number, carriage: Carriage) {
    this.name = name;
    this.#carriage = carriage;
    this.left = { netns: nameOf(number, 'l').netns };
    this.right = { netns: nameOf(number, 'r').netns, device: DEVICE };
    this.#server = new IperfServer(this.right.netns);
    process.once('exit', () => rmSync(this.#folder, { recursive: true, force: true }));
  }

  async open(): Promise<void> {
    const { left, right } = this;
    lay(this.#carriage, left.netns, right.netns);
    const addresses = outerAddresses(this.#carriage);
    const secret = randomBytes(16).toString('hex');
    for (const [own, { netns }] of [left, right].entries()) {
      ip('-n', netns, 'address', 'add', `10.9.0.${own + 1}/32`, 'dev', 'lo');
      const folder = join(this.#folder, netns);
      mkdirSync(folder);
      const vici = `unix://${folder}/vici`;
      writeFileSync(join(folder, 'strongswan.conf'), daemonConfiguration(vici));
      const [here, there] = own === 0 ? addresses : addresses.toReversed();
      const connection = connectionConfiguration({ own: own + 1, here: here!, there: there!, secret });
      writeFileSync(join(folder, 'swanctl.conf'), connection, { mode: 0o600 });
      // Its process id file has a place that is fixed: in a mount namespace of its own.
      const start = `mount -t tmpfs none /run && STRONGSWAN_CONF=${folder}/strongswan.conf exec ${CHARON}`;
      this.#daemons.push(startIn(netns, 'sh', ['-c', start]));
      const load = ['--load-all', '--uri', vici, '--file', join(folder, 'swanctl.conf')];
      await until(`${this.name} is configured`, () => succeeds(runIn(netns, 'swanctl', load)), 30);
    }
    const uri = `unix://${join(this.#folder, left.netns)}/vici`;
    await runIn(left.netns, 'swanctl', ['--initiate', '--child', 'tunnel', '--timeout', '10', '--uri', uri]);
    for (const { netns } of [left, right])
      ip('-n', netns, 'link', 'set', DEVICE, 'mtu', String(ESP_MTU[this.#carriage]));
    await untilPackets(this.name, left.netns);
    await this.serve();
  }

  serve(): Promise<void> {
    return this.#server.start();
  }

  cpuSeconds(): number {
    return this.#daemons.reduce((sum, { pid }) => sum + cpuSeconds(pid!), 0);
  }
}

function succeeds(run: Promise<unknown>): Promise<boolean> {
  return run.then(
    () => true,
    () => false,
  );
}

/** aesni before openssl, as that is its quicker AES-GCM. */
function daemonConfiguration(vici: string): string {
  return `charon {
  load = random nonce aesni openssl hmac kdf kernel-libipsec kernel-netlink socket-default vici
  install_routes = yes
  plugins {
    vici { socket = ${vici} }
  }
}
`;
}

function connectionConfiguration(end: { own: number; here: string; there: string; secret: string }): string {
  const { own, here, there, secret } = end;
  const other = 3 - own;
  return `connections {
  bench {
    version = 2
    local_addrs = ${here}
    remote_addrs = ${there}
    encap = yes
    mobike = no
    proposals = aes128gcm16-prfsha256-x25519
    local { auth = psk
      id = end${own} }
    remote { auth = psk
      id = end${other} }
    children {
      tunnel {
        local_ts = 10.9.0.${own}/32
        remote_ts = 10.9.0.${other}/32
        esp_proposals = aes128gcm16
      }
    }
  }
}
secrets {
  ike { secret = 0x${secret} }
}
`;
}
