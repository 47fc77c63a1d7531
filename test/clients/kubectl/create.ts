import { fails, k, type KubectlCase } from "./case.ts";

const made = (text: string): readonly RegExp[] => [new RegExp(`^${text} created$`, "m")];

const localPod = `apiVersion: v1
kind: Pod
metadata: { name: local }
spec: { containers: [{ name: echo, image: fairlead.dev/echo }] }
`;

/** Each generator of `kubectl create`, `run` and `expose`, and `set`. */
export const creating: Readonly<Record<string, readonly KubectlCase[]>> = {
  "create: each generator": [
    k("create ns kc", made("namespace/kc")),
    k("config set-context --current --namespace=kc", [/modified\.$/m]),
    k("create clusterrole kc-reader --verb=get --resource=pods,deployments.apps", made("clusterrole\\.\\S+/kc-reader")),
    k("create clusterrole kc-urls --verb=get --non-resource-url=/logs/*", made("clusterrole\\.\\S+/kc-urls")),
    k("create clusterrole kc-all --aggregation-rule=kc=yes", made("clusterrole\\.\\S+/kc-all")),
    k("create clusterrolebinding kc-b --clusterrole=kc-reader --user=eva --group=ops", made("clusterrolebinding\\S+")),
    k("create cm lit --from-literal=a=1 --from-literal=b=2", made("configmap/lit")),
    k("create cm file --from-file=manifests=test/clients/manifests/folder/a.yaml", made("configmap/file")),
    k("create cm dir --from-file=test/clients/manifests/folder", made("configmap/dir")),
    k("create cm env --from-env-file=test/clients/manifests/colours.env", made("configmap/env")),
    k("get cm env -o jsonpath={.data}", [/^\{"A":"1","B":"two"\}$/]),
    k("create cm hashed --from-literal=a=1 --append-hash", made("configmap/hashed-\\w+")),
    fails("create cm lit --from-literal=a=1", [/configmaps "lit" already exists/]),
    k("create deployment d --image=fairlead.dev/echo --replicas=2 -- echo hi", made("deployment.apps/d")),
    k("create job j --image=busybox -- true", made("job.batch/j")),
    k("create cronjob cj --image=busybox '--schedule=*/5 * * * *' -- date", made("cronjob.batch/cj")),
    k("create job from-cron --from=cronjob/cj", made("job.batch/from-cron")),
    k("get job from-cron -o jsonpath={.metadata.ownerReferences[0].kind}", [/^CronJob$/]),
    fails("create cronjob bad --image=busybox --schedule=often", [/CronJob\.batch "bad" is invalid: spec\.schedule/]),
    k(
      "create ingress simple '--rule=foo.example.com/path*=svc:8080,tls=cert' --class=fairlead",
      made("ingress\\.\\S+"),
    ),
    k("create ingress catch --default-backend=svc:80 --annotation a=b", made("ingress\\.\\S+")),
    k("describe ingress simple", [/^TLS:$/m, /cert terminates foo\.example\.com/]),
    k("create pdb pdb --selector=app=d --min-available=1", made("poddisruptionbudget.policy/pdb")),
    k("create pdb pdb2 --selector=app=d --max-unavailable=50%", made("poddisruptionbudget.policy/pdb2")),
    k("create priorityclass kc-high --value=1000 --description=high", made("priorityclass\\.\\S+/kc-high")),
    k("create quota q --hard=pods=50,services=20", made("resourcequota/q")),
    k("create quota scoped --hard=pods=5 --scopes=BestEffort", made("resourcequota/scoped")),
    k("create role r --verb=get,list --resource=pods --resource-name=one", made("role\\.\\S+/r")),
    k("create role r2 --verb=* --resource=deployments.apps,pods/log", made("role\\.\\S+/r2")),
    fails("create role r3 --verb=get --resource=nothing", [/the server doesn't have a resource type "nothing"/]),
    k("create rolebinding rb --clusterrole=view --serviceaccount=kc:default --user=eva", made("rolebinding\\.\\S+/rb")),
    k("create secret generic g --from-literal=a=1 --type=example.com/own", made("secret/g")),
    k("create secret docker-registry dr --docker-username=u --docker-password=p", made("secret/dr")),
    k("get secret dr -o jsonpath={.type}", [/^kubernetes\.io\/dockerconfigjson$/]),
    fails("create secret tls t --cert=/dev/null --key=/dev/null", [/tls: failed to find any PEM data/]),
    k("create service clusterip ci --tcp=80:8080", made("service/ci")),
    k("create service clusterip headless --clusterip=None", made("service/headless")),
    k("create service nodeport np --tcp=80:8080 --node-port=30777", made("service/np")),
    fails("create service nodeport np2 --tcp=80 --node-port=30777", [/provided port is already allocated/]),
    k("create service loadbalancer lb --tcp=80", made("service/lb")),
    k("create service externalname en --external-name=example.com", made("service/en")),
    k("create sa robot", made("serviceaccount/robot")),
    k("create token robot --duration=1h --audience=me", [/^[\w-]+\.[\w-]+\.[\w-]+\s*$/]),
    k("create token robot --bound-object-kind=Secret --bound-object-name=g", [/^[\w-]+\.[\w-]+\.[\w-]+\s*$/]),
    fails("create token nobody", [/serviceaccounts "nobody" not found/]),
    k("create cm client --from-literal=a=1 --dry-run=client -o yaml", [/^kind: ConfigMap$/m]),
    k("create cm server --from-literal=a=1 --dry-run=server -o json", [/"uid":/]),
    fails("create -f -", [/strict decoding error: unknown field "dota"/], {
      input: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndota: {}\n",
    }),
    k("create -f - --validate=warn", made("configmap/warned"), {
      input: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: warned}\ndota: {}\n",
      err: [/Warning: unknown field "dota"/],
    }),
    k("create -f - --validate=ignore", made("configmap/ignored"), {
      input: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ignored}\ndota: {}\n",
    }),
    fails("create --raw /api/v1/namespaces/kc/configmaps -f -", [/configmaps "lit" already exists|AlreadyExists/], {
      input: '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"lit"}}',
    }),
    k("create --raw /api/v1/namespaces/kc/configmaps -f -", [/"name":"raw"/], {
      input: '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"raw"}}',
    }),
    k("create cm saved --from-literal=a=1 --save-config", made("configmap/saved")),
    k("apply view-last-applied cm/saved", [/^ {2}a: "1"$/m]),
  ],

  "run, expose, autoscale and set": [
    k("run p --image=busybox --env=A=1 --labels=app=p,tier=x --port=8080 --expose", [
      /^service\/p created$/m,
      /^pod\/p created$/m,
    ]),
    k("run args --image=busybox --restart=OnFailure --command -- sleep 1000", made("pod/args")),
    k('run --image=busybox over --overrides={"spec":{"terminationGracePeriodSeconds":1}} --dry-run=server -o yaml', [
      /terminationGracePeriodSeconds: 1$/m,
    ]),
    k("expose pod p --name=p2 --port=81 --target-port=8080 --protocol=UDP", [/^service\/p2 exposed$/m]),
    k("expose service p --name=p3 --port=82 --type=LoadBalancer --session-affinity=ClientIP", [
      /^service\/p3 exposed$/m,
    ]),
    k("autoscale deployment d --min=1 --max=3 --cpu=80%", [/^horizontalpodautoscaler\.autoscaling\/d autoscaled$/m]),
    k("get hpa d", [
      /^NAME +REFERENCE +TARGETS +MINPODS +MAXPODS +REPLICAS +AGE$/m,
      /^d +Deployment\/d +.*\/80% +1 +3 /m,
    ]),
    k("set image deployment d *=fairlead.dev/echo:v2", [/^deployment\.apps\/d image updated$/m]),
    k("set image -f - echo=fairlead.dev/echo:v4 --local -o yaml", [/image: fairlead\.dev\/echo:v4$/m], {
      input: localPod,
    }),
    k("set env deployment/d A=1 --containers=echo", [/env updated$/m]),
    k("set env deployment/d --list", [/^A=1$/m]),
    k("set env deployment/d --from=configmap/lit --prefix=LIT_", [/env updated$/m]),
    k("set env deployment/d --list --resolve", [/^LIT_A=1$/m]),
    k("set env deployment/d A-", [/env updated$/m]),
    k("set resources deployment d --limits=cpu=200m,memory=64Mi --requests=cpu=10m", [
      /resource requirements updated$/m,
    ]),
    k("set serviceaccount deployment d robot", [/serviceaccount updated$/m]),
    k("set subject rolebinding rb --user=mia", [/subjects updated$/m]),
    k("set selector service ci app=d", [/selector updated$/m]),
    k("get rolebinding rb -o wide", [/^NAME +ROLE +AGE +USERS +GROUPS +SERVICEACCOUNTS$/m, /eva, mia/]),
    k("label svc,sa --all kc=1", [/^serviceaccount\/robot labeled$/m, /^service\/p labeled$/m]),
    k("label svc p kc=2 --overwrite --dry-run=server", [/^service\/p labeled \(server dry run\)$/m]),
    k("label svc -l kc=1 seen=yes", [/labeled$/m]),
    k("label svc p --list", [/^kc=1$/m]),
    k("annotate pods p args --overwrite note=x", [/^pod\/p annotated$/m]),
    k("annotate pod p --list", [/^note=x$/m]),
    k("config set-context --current --namespace=default", [/modified\.$/m]),
  ],
};
