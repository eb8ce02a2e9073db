/** Finds the cluster a person means: --kubeconfig, else $KUBECONFIG, else ~/.kube/config, else the pod's service account. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import type https from 'node:https';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { KubeConfig } from '@kubernetes/client-node';
import { type Credentials, inCluster } from './http.ts';

export interface KubeconfigOptions {
  /** A file; the environment is not looked at then. */
  kubeconfig?: string | undefined;
  context?: string | undefined;
  /** User to act as, and her groups. */
  as?: string | undefined;
  asGroups?: string[] | undefined;
  env?: NodeJS.ProcessEnv;
}

export interface Connection {
  credentials: Credentials;
  /** Name of the context; empty in a pod. */
  context: string;
  cluster: string;
  /** The context's default namespace. */
  namespace?: string;
}

/** The kubeconfig does not lead to a cluster. The message tells what to do. */
export class KubeconfigError extends Error {
  override readonly name = 'KubeconfigError';
}

/** Files as kubectl reads them: of several in $KUBECONFIG the first to name a thing wins, missing ones are passed over. */
export async function loadConnection(options: KubeconfigOptions = {}): Promise<Connection> {
  const env = options.env ?? process.env;
  const files = kubeconfigFiles(options.kubeconfig, env);
  if (files.length === 0) {
    if (env['KUBERNETES_SERVICE_HOST'] && !options.context)
      return { credentials: impersonating(inCluster(env), options), context: '', cluster: 'in-cluster' };
    throw new KubeconfigError(
      'no kubeconfig found: give one with --kubeconfig or $KUBECONFIG (`pellicle lab up` writes one for its cluster)',
    );
  }
  const config = await merged(files);
  if (options.context) config.setCurrentContext(options.context);
  return resolve(config, files, options);
}

/** The files that exist, in order of precedence. */
export function kubeconfigFiles(kubeconfig: string | undefined, env: NodeJS.ProcessEnv): string[] {
  if (kubeconfig !== undefined) {
    if (!existsSync(kubeconfig))
      throw new KubeconfigError(`the kubeconfig ${kubeconfig} does not exist: check --kubeconfig`);
    return [kubeconfig];
  }
  const listed = env['KUBECONFIG'];
  const wanted = listed
    ? listed.split(delimiter).filter(Boolean)
    : [join(env['HOME'] ?? homedir(), '.kube', 'config')];
  return wanted.filter(file => existsSync(file));
}

async function merged(files: string[]): Promise<KubeConfig> {
  const { KubeConfig } = await import('@kubernetes/client-node');
  const whole = new KubeConfig();
  for (const file of files) {
    const part = new KubeConfig();
    try {
      part.loadFromFile(file);
    } catch (error) {
      const why = (error instanceof Error ? error.message : String(error)).split('\n')[0];
      throw new KubeconfigError(`the kubeconfig ${file} cannot be read: ${why}; ${MEND}`);
    }
    whole.clusters = firstOf([...whole.clusters, ...(part.clusters ?? [])]);
    whole.users = firstOf([...whole.users, ...(part.users ?? [])]);
    whole.contexts = firstOf([...whole.contexts, ...(part.contexts ?? [])]);
    if (!whole.currentContext && part.currentContext) whole.setCurrentContext(part.currentContext);
  }
  return whole;
}

const MEND = 'write it anew, or choose another with --kubeconfig or $KUBECONFIG';

async function resolve(config: KubeConfig, files: string[], options: KubeconfigOptions): Promise<Connection> {
  const where = `the kubeconfig ${files.join(delimiter)}`;
  const name = config.getCurrentContext();
  const names = config.getContexts().map(context => context.name);
  if (names.length === 0) throw new KubeconfigError(`${where} has no contexts: ${MEND}`);
  if (!name)
    throw new KubeconfigError(
      `${where} has no current context: choose one with --context (${listOf(names)})`,
    );
  const context = config.getContextObject(name);
  if (!context) throw new KubeconfigError(`context "${name}" is not in ${where}: there is ${listOf(names)}`);
  const cluster = config.getCluster(context.cluster);
  if (!cluster?.server)
    throw new KubeconfigError(
      `context "${name}" names the cluster "${context.cluster}", which is not in ${where}`,
    );
  // client-node takes plain HTTP only where TLS would not be verified either.
  const plain = cluster.server.startsWith('http:');
  if (plain) config.clusters = config.clusters.map(c => (c === cluster ? { ...c, skipTLSVerify: true } : c));
  const tls: https.RequestOptions = {};
  try {
    await config.applyToHTTPSOptions(tls);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new KubeconfigError(`the credentials of user "${context.user}" in ${where} cannot be used: ${why}`);
  }
  const user = config.getUser(context.user);
  refuseBadPem(tls, context.user, where);
  const credentials: Credentials = {
    server: cluster.server,
    ...(tls.ca && { ca: String(tls.ca) }),
    ...(tls.cert && { cert: String(tls.cert) }),
    ...(tls.key && { key: String(tls.key) }),
    ...(tls.rejectUnauthorized === false && !plain && { insecure: true }),
    ...(tls.servername && { tlsServerName: tls.servername }),
    ...bearer(config, tls, user?.token),
    ...(user?.impersonateUser && { impersonate: { user: user.impersonateUser } }),
  };
  return {
    credentials: impersonating(credentials, options),
    context: name,
    cluster: context.cluster,
    ...(context.namespace && { namespace: context.namespace }),
  };
}

/** What OpenSSL says of these when it connects tells nobody where to look. */
function refuseBadPem(tls: https.RequestOptions, user: string, where: string): void {
  for (const [field, value, parse] of [
    ['client-certificate-data', tls.cert, (pem: string) => new X509Certificate(pem)],
    ['client-key-data', tls.key, (pem: string) => createPrivateKey(pem)],
  ] as const) {
    if (!value) continue;
    try {
      parse(String(value));
    } catch {
      throw new KubeconfigError(
        `${field} (or the file named instead) of user "${user}" in ${where} is no PEM that can be read: ask for the credentials again, or choose another kubeconfig with --kubeconfig`,
      );
    }
  }
}

/** Tokens of exec plugins, OIDC and files expire: they are asked for again with every request (and kept by the plugin). */
function bearer(
  config: KubeConfig,
  tls: https.RequestOptions,
  fixed: string | undefined,
): Pick<Credentials, 'token'> {
  const token = tokenIn(tls);
  if (!token) return {};
  if (fixed) return { token };
  return {
    token: async () => {
      const fresh: https.RequestOptions = {};
      await config.applyToHTTPSOptions(fresh);
      return tokenIn(fresh) ?? '';
    },
  };
}

function tokenIn(tls: https.RequestOptions): string | undefined {
  const headers = (tls.headers ?? {}) as Record<string, unknown>;
  const value = headers['Authorization'] ?? headers['authorization'];
  return typeof value === 'string' && value.startsWith('Bearer ') ? value.slice('Bearer '.length) : undefined;
}

function impersonating(credentials: Credentials, options: KubeconfigOptions): Credentials {
  if (!options.as) return credentials;
  return {
    ...credentials,
    impersonate: { user: options.as, ...(options.asGroups && { groups: options.asGroups }) },
  };
}

function firstOf<T extends { name: string }>(entries: T[]): T[] {
  return entries.filter((entry, index) => entries.findIndex(other => other.name === entry.name) === index);
}

function listOf(names: string[]): string {
  return names.length === 0 ? 'none' : names.join(', ');
}
