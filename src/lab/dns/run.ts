/** The cluster's DNS server as a whole: watches the API, answers questions. */
import type { KubeClient } from '../../kube/client.ts';
import { Reflector } from '../../kube/reflector.ts';
import { ENDPOINTSLICES, NAMESPACES, SERVICES } from '../../kube/types.ts';
import { Forwarder, type Upstream } from './forwarder.ts';
import { listenDns, listenHealth } from './listeners.ts';
import { Directory } from './records.ts';
import { Responder } from './responder.ts';

export interface DnsOptions {
  domain: string;
  upstreams: readonly Upstream[];
  port: number;
  healthPort: number;
  readyPort: number;
  log(message: string): void;
}

/** Resolves when it listens; the answer ends it. */
export async function startDns(
  client: KubeClient,
  options: DnsOptions,
): Promise<{ port: number; stop(): void }> {
  const { log } = options;
  let directory: Directory | undefined;
  let complete = false;
  let serial = Math.floor(Date.now() / 1000);
  const onChange = () => {
    directory = undefined;
    serial = Math.max(serial + 1, Math.floor(Date.now() / 1000));
  };
  const services = new Reflector(client, SERVICES, { onChange, log });
  const slices = new Reflector(client, ENDPOINTSLICES, { onChange, log });
  const namespaces = new Reflector(client, NAMESPACES, { onChange, log });
  const responder = new Responder({
    directory: () => {
      if (!complete) return undefined;
      directory ??= new Directory(
        services.items(),
        slices.items(),
        namespaces.items().map(namespace => namespace.metadata.name),
      );
      return directory;
    },
    zone: () => ({
      domain: options.domain,
      servers: serversOf(services.get('kube-dns', 'kube-system')),
      serial,
    }),
    forwarder: new Forwarder({ upstreams: options.upstreams }),
  });
  const respond = async (query: Uint8Array, overTcp: boolean): Promise<Uint8Array | undefined> => {
    try {
      return await responder.respond(query, overTcp);
    } catch (error) {
      log(`a question could not be answered: ${error instanceof Error ? error.stack : String(error)}`);
      return undefined;
    }
  };
  for (const reflector of [services, slices, namespaces]) reflector.start();
  void Promise.all([services.synced, slices.synced, namespaces.synced]).then(() => {
    complete = true;
  });
  const health = await listenHealth(options.healthPort, '/health', () => true);
  const ready = await listenHealth(options.readyPort, '/ready', () => complete);
  const dns = await listenDns(options.port, respond);
  log(
    `serving ${options.domain} on port ${dns.port}, asking ${options.upstreams.map(each => each.address).join(', ') || 'nobody'} for the rest`,
  );
  return {
    port: dns.port,
    stop() {
      for (const reflector of [services, slices, namespaces]) reflector.stop();
      void dns.close();
      for (const server of [health, ready]) server.close();
    },
  };
}

function serversOf(service: { spec: { clusterIPs?: string[]; clusterIP?: string } } | undefined): string[] {
  const ips = service?.spec.clusterIPs ?? (service?.spec.clusterIP ? [service.spec.clusterIP] : []);
  return ips.filter(ip => ip !== 'None');
}
