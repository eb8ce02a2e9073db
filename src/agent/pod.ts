/** What it means to run in a pod: credentials, and a last word. */
import { existsSync, writeFileSync } from 'node:fs';
import { type Credentials, inCluster } from '../kube/http.ts';

/** Of the pod's service account, or of a kubeconfig (for those who run the agent by hand). */
export async function credentials(kubeconfig: string): Promise<Credentials> {
  if (kubeconfig === '') return inCluster();
  const { loadConnection } = await import('../kube/kubeconfig.ts');
  return (await loadConnection({ kubeconfig })).credentials;
}

/** What a container leaves for `kubectl describe pod`. */
export function leaveTerminationMessage(message: string): void {
  if (process.env['KUBERNETES_SERVICE_HOST'] && existsSync('/dev/termination-log')) {
    writeFileSync('/dev/termination-log', message);
  }
}
