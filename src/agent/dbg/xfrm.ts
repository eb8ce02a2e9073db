/** `cilium encrypt flush` and `dump-xfrm`: the SAs of this node as Cilium's users know them. */
import { LAST_KEY_ID } from '../../proto/keys/keyid.ts';
import { type AskEngine, type EspPolicy, type EspState, listStates } from './esp-socket.ts';

export interface FlushOptions {
  force?: boolean;
  spi?: number;
  /** Name of a node. */
  node?: string;
  stale?: boolean;
}

export interface FlushIo {
  print(text: string): void;
  /** Answers what was typed. */
  question(text: string): Promise<string>;
  /** Runs of the peers that the agent knows, by name. */
  peers(): Promise<ReadonlyMap<string, string>>;
}

/** What cannot be done as it was asked for. */
export class FlushRefused extends Error {
  override readonly name = 'FlushRefused';
}

export async function flush(ask: AskEngine, options: FlushOptions, io: FlushIo): Promise<void> {
  const { spi, node, stale, force } = options;
  if (spi !== undefined && spi > LAST_KEY_ID) throw new FlushRefused('Given SPI is too big');
  if (stale && (spi !== undefined || node !== undefined))
    throw new FlushRefused('--stale cannot be used together with --spi or --node-id');
  if (node !== undefined && /^0x/i.test(node))
    throw new FlushRefused(`nodes have no numbers here: write the name of the node instead of ${node}`);
  const { states, policies } = await listStates(ask);
  const isFiltered = stale || spi !== undefined || node !== undefined;
  const owned = await owners(options, io);
  const chosen = states.filter(state => (!isFiltered || matches(state, options)) && owned(state));
  const chosenPolicies = policies.filter(policy => chosen.some(state => seals(state, policy)));
  if (stale && chosen.length === 0) {
    io.print('No stale XFRM states or policies found.\n');
    return;
  }
  if (!force && chosen.length === states.length) {
    const question = isFiltered
      ? 'Running this command will delete all XFRM states and/or policies. It will lead to transient connectivity disruption. Do you want to continue? [y/N] '
      : 'Flushing all XFRM states and policies can lead to transient connectivity interruption. Do you want to continue? [y/N] ';
    if (!/^y(es)?$/i.test((await io.question(question)).trim())) return;
  }
  const lines = isFiltered
    ? [
        ...chosenPolicies.map(({ dst }) => `policy delete dst ${dst}`),
        ...chosen.map(
          state => `state delete src ${state.src} dst ${state.dst} spi ${state.spi} dir ${state.dir}`,
        ),
      ]
    : ['policy flush', 'state flush'];
  if (lines.length > 0) await ask(lines);
  io.print(
    isFiltered
      ? `Deleted ${chosen.length} XFRM states.\nDeleted ${chosenPolicies.length} XFRM policies.\n`
      : 'All XFRM states and policies have been deleted.\n',
  );
}

/** With keys: this is the only place that shows them. */
export async function dumpXfrm(ask: AskEngine): Promise<Record<string, unknown>[]> {
  const { states } = await listStates(ask, true);
  return states.map(({ dir, src, dst, spi, reqid, auth, enc, aead }) => ({
    encrypt: dir === 'out',
    src,
    dst,
    spi,
    reqid,
    auth_alg: auth?.name ?? '',
    auth_key: auth?.key ?? '',
    crypt_alg: enc?.name ?? '',
    crypt_key: enc?.key ?? '',
    aead_alg: aead?.name ?? '',
    aead_key: aead?.key ?? '',
  }));
}

function matches({ spi, label }: EspState, options: FlushOptions): boolean {
  return (
    (options.spi === undefined || options.spi === spi) &&
    (options.node === undefined || options.node === label.split(' ')[0])
  );
}

/** With --stale: those of peers, or of runs of them, that the agent does not know any more. */
async function owners({ stale }: FlushOptions, io: FlushIo): Promise<(state: EspState) => boolean> {
  if (!stale) return () => true;
  const peers = await io.peers();
  return ({ label }) => {
    const [peer = '', incarnation] = label.split(' ');
    return peers.get(peer) !== incarnation;
  };
}

function seals({ dir, src, dst, spi }: EspState, policy: EspPolicy): boolean {
  return dir === 'out' && src === policy.src && dst === policy.to && spi === policy.spi;
}
