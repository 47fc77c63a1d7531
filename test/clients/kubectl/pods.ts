import { fails, k, type KubectlCase } from "./case.ts";

const two = `apiVersion: v1
kind: Pod
metadata: { name: two, namespace: kp, labels: { app: two } }
spec:
  terminationGracePeriodSeconds: 0
  initContainers: [{ name: before, image: busybox, command: [sh, -c, "echo first"] }]
  containers:
    - { name: a, image: busybox, command: [sh, -c, "echo from a; echo second; exec sleep 3600"] }
    - { name: b, image: busybox, command: [sh, -c, "echo from b; exec sleep 3600"] }
`;

/** Pods: commands inside, logs, copies, debugging; nodes: cordon, drain, taints, figures. */
export const pods: Readonly<Record<string, readonly KubectlCase[]>> = {
  "inside pods": [
    k("create ns kp"),
    k("apply -f -", [/created$/m], { input: two }),
    k("wait -n kp --for=condition=Ready pod/two --timeout=60s", [/condition met$/m]),
    k("exec two -n kp -- echo hi", [/^hi$/m], { err: [/Defaulted container "a" out of: a, b, before \(init\)/] }),
    k("exec two -n kp -c b -- sh -c 'echo $0'", [/./]),
    k("exec -i two -n kp -c a -- cat", [/^fed$/m], { input: "fed\n" }),
    fails("exec two -n kp -c a -- sh -c 'exit 9'", [/exit code 9/], { code: 9 }),
    fails("exec two -n kp -c zz -- true", [/container zz is not valid for pod two|container not found \("zz"\)/]),
    fails("exec nope -n kp -- true", [/pods "nope" not found/]),
    fails("exec two -n kp -c a -- no-such-program", [/no-such-program/], { code: 127 }),
    k("cp test/clients/manifests/folder/a.yaml kp/two:$LAB/copied.yaml -c a"),
    k("exec two -n kp -c a -- cat $LAB/copied.yaml", [/folder-a/]),
    k("cp kp/two:$LAB/copied.yaml $LAB/back.yaml -c a --retries=2"),
    k("logs two -n kp -c a", [/^from a$/m, /^second$/m]),
    k("logs two -n kp", [/^from a$/m], { err: [/Defaulted container "a"/] }),
    k("logs two -n kp -c before", [/^first$/m]),
    k("logs two -n kp --all-containers --prefix", [/^\[pod\/two\/a\] from a$/m, /^\[pod\/two\/b\] from b$/m]),
    k("logs two -n kp -c a --tail=1", [/^second\s*$/]),
    k("logs two -n kp -c a --limit-bytes=4", [/^from\s*$/]),
    k("logs two -n kp -c a --since=1h --timestamps", [/^\d{4}-\S+Z from a$/m]),
    k("logs two -n kp -c a --since-time=2100-01-01T00:00:00Z", [/^$/]),
    k("logs -l app=two -n kp --all-containers --max-log-requests=10 --tail=-1", [/from a/, /from b/]),
    fails("logs two -n kp -c a -p", [/previous terminated container "a" in pod "two" not found/]),
    fails("logs nope -n kp", [/pods "nope" not found|pods "nope" in namespace "kp" not found/]),
    k("create deployment web -n kp --image=fairlead.dev/echo --replicas=2 --port=8080"),
    k("rollout status deploy/web -n kp --timeout=60s", [/successfully rolled out/]),
    k("logs deploy/web -n kp --all-pods --prefix", [/^\[pod\/web-\S+\/echo\] .*answers HTTP/m]),
    k("exec deploy/web -n kp -- echo from-deployment", [/^from-deployment$/m]),
    k("run once -n kp --image=busybox --restart=Never --attach --rm --quiet --command -- sh -c 'echo done'", [/done/]),
    k("top pod -n kp --sort-by=memory", [/^NAME +CPU\(cores\) +MEMORY\(bytes\)/m, /^two +\d+m +\d+Mi/m], {
      soon: true,
    }),
    k("top pod two -n kp --containers", [/^POD +NAME +CPU\(cores\) +MEMORY\(bytes\)/m, /^two +a +/m], { soon: true }),
    k("top pod -n kp -l app=two --no-headers --sum", [/^two /m], { soon: true }),
    k("top node", [/^NAME +CPU\(cores\) +CPU\(%\) +MEMORY\(bytes\) +MEMORY\(%\)/m]),
  ],

  debug: [
    k("debug two -n kp --image=busybox --container=dbg --attach=false --profile=general -- sleep 1000"),
    k("wait -n kp --for=jsonpath={.status.ephemeralContainerStatuses[0].state.running} pod/two --timeout=30s", [
      /met$/m,
    ]),
    k("exec two -n kp -c dbg -- echo in-debug", [/^in-debug$/m]),
    k("debug two -n kp --copy-to=copy --image=busybox --container=dbg2 --attach=false --profile=general -- sleep 1000"),
    k("get pod copy -n kp -o jsonpath={.spec.containers[*].name}", [/^a b dbg2$/]),
    k("debug two -n kp --copy-to=changed --set-image=*=fairlead.dev/echo --attach=false --profile=general"),
    k("get pod changed -n kp -o jsonpath={.spec.containers[0].image}", [/^fairlead\.dev\/echo$/]),
    k("debug node/$NODE -n kp --image=busybox --attach=false --profile=general -- sleep 1000", [
      /Creating debugging pod node-debugger-/,
    ]),
    k("get pods -n kp -o jsonpath={.items[*].spec.nodeName}", [/./]),
  ],

  nodes: [
    k("create pdb all -n kp --selector=app=web --max-unavailable=1"),
    k("cordon $NODE", [/^node\/\S+ cordoned$/m]),
    k("cordon $NODE", [/already cordoned$/m]),
    k("get node $NODE", [/Ready,SchedulingDisabled/]),
    fails("drain $NODE", [/cannot delete .*Pods that declare no controller|unable to drain/]),
    fails("drain $NODE --force --delete-emptydir-data --pod-selector=app=web --timeout=3s", [
      /Cannot evict pod as it would violate the pod's disruption budget\./,
    ]),
    k("delete pdb all -n kp"),
    k("delete pdb --all -n kc", [/^poddisruptionbudget\.policy "pdb" deleted/m]),
    k("drain $NODE --force --ignore-daemonsets --delete-emptydir-data --grace-period=1 --timeout=90s", [
      /^node\/\S+ drained$/m,
    ]),
    k("uncordon $NODE", [/uncordoned$/m]),
    k("taint node $NODE k=v:NoSchedule", [/tainted$/m]),
    fails("taint node $NODE k=w:NoSchedule", [
      /already has k taint\(s\) with same effect\(s\) and --overwrite is false/,
    ]),
    k("taint node $NODE k=w:NoSchedule --overwrite", [/modified$/m]),
    k("taint node $NODE k-", [/untainted$/m]),
    fails("taint node $NODE k-", [/not found/]),
    k("label node $NODE disk=ssd", [/labeled$/m]),
    k("get nodes -l disk=ssd -o name", [/^node\//m]),
    k("describe node $NODE", [/^Labels: +/m, /disk=ssd/, /^Lease:$/m]),
  ],
};
