/** Reads the kubeconfig that `lab up` wrote for a node: JSON, one context, all embedded. */
import { readFileSync } from 'node:fs';
import type { Credentials } from '../../kube/client.ts';

interface OwnKubeconfig {
  clusters: [{ cluster: { server: string; 'certificate-authority-data': string } }];
  users: [{ user: { 'client-certificate-data': string; 'client-key-data': string } }];
}

export function readCredentials(path: string): Credentials {
  const text = readFileSync(path, 'utf8');
  try {
    const { clusters, users } = JSON.parse(text) as OwnKubeconfig;
    const decode = (data: string) => Buffer.from(data, 'base64').toString('utf8');
    const { cluster } = clusters[0];
    const { user } = users[0];
    return {
      server: cluster.server,
      ca: decode(cluster['certificate-authority-data']),
      cert: decode(user['client-certificate-data']),
      key: decode(user['client-key-data']),
    };
  } catch {
    throw new Error(`${path} is no kubeconfig of a lab's node: 'pellicle lab up' writes it`);
  }
}
