"""What is said of the servers of a slot: what they wait for, why they are stuck, and what stands in the way."""

from typing import Final

CATALOG: Final[dict[str, str]] = {
    "capacity": "副本数不足",
    "servers of the next share did not come in time: it goes on once they are ready": (
        "下一步所需的副本未能按时就绪：就绪后继续"
    ),
    # Problems of the platform file.
    "the platform file has no models.storageUri": "平台文件中没有 models.storageUri",
    "this is not the name of a variable: letters, digits and _": "这不是变量名：只用字母、数字和 _",
    "this is not the name of an argument, with the - before it": "这不是参数名：请连同前面的 - 一起写",
    "this is not the name of an object in Kubernetes: a-z, 0-9, - and .": (
        "这不是 Kubernetes 对象的名称：只用 a-z、0-9、- 和 ."
    ),
    "this is not the name of a label or annotation, such as model-version or example.com/model": (
        "这不是标签或注解的名称，例如 model-version 或 example.com/model"
    ),
    # Decisions.
    "served by its slot: {models}": "已由槽位提供服务：{models}",
    "servers are ready: {any:what}": "副本已就绪：{what}",
    "waiting for servers: {any:why}": "等待副本就绪：{why}",
    "servers are still there: {any:why}": "多余的副本尚未缩减：{why}",
    "the workloads of {slots} are as before": "{slots} 的工作负载已恢复原样",
    "the workloads are left as they are: {any:why}": "工作负载保持现状：{why}",
    "the workload of {slot} is left as it is: {any:why}": "{slot} 的工作负载保持现状：{why}",
    "{object}: {field} was changed by {any:who} and is left": "{object}：{field} 被 {who} 改动过，保持不动",
    "{object} is left as it is: this version knows no such kind": "{object} 保持现状：此版本不认识这种对象",
    "{object} is left as it is: nothing here says in which cluster it is": (
        "{object} 保持现状：这里没有说明它在哪个集群"
    ),
    # What comes next.
    "{label}, once its servers are ready": "副本就绪后：{label}",
    "{candidate} becomes the default, once its servers are ready": "副本就绪后：{candidate} 成为默认版本",
    # How far servers are.
    "servers": "副本",
    "{slot}: {#ready} of {#wanted} pods ready": "{slot}：{ready}/{wanted} 个 Pod 就绪",
    "{slot}: {#ready} of {#wanted} pods ready, {said:doing}": "{slot}：{ready}/{wanted} 个 Pod 就绪，{doing}",
    "{slot}: {#ready} of {#wanted} groups ready": "{slot}：{ready}/{wanted} 组就绪",
    "{slot}: {#ready} of {#wanted} groups ready, {said:doing}": "{slot}：{ready}/{wanted} 组就绪，{doing}",
    "{#ready} of {#wanted} pods ready": "{ready}/{wanted} 个 Pod 就绪",
    "{#ready} of {#wanted} pods ready, {said:doing}": "{ready}/{wanted} 个 Pod 就绪，{doing}",
    "{#ready} of {#wanted} groups ready": "{ready}/{wanted} 组就绪",
    "{#ready} of {#wanted} groups ready, {said:doing}": "{ready}/{wanted} 组就绪，{doing}",
    "{slot}: not answering yet": "{slot}：尚未应答",
    "{slot}: serving {any:models} and not {model}": "{slot}：正在提供 {models}，而不是 {model}",
    "not answering yet": "尚未应答",
    "serving {any:models} and not {model}": "正在提供 {models}，而不是 {model}",
    "{#n} of before are still there": "仍有 {n} 个旧副本",
    "{said:doing}, {#n} of before are still there": "{doing}，仍有 {n} 个旧副本",
    "pulling the image": "拉取镜像",
    "loading the model": "加载模型",
    "waiting for a node": "等待节点",
    "waiting for its volumes": "等待存储卷",
    "starting": "启动中",
    "pulling the image {#n} min": "拉取镜像 {n} 分钟",
    "loading the model {#n} min": "加载模型 {n} 分钟",
    "waiting for a node {#n} min": "等待节点 {n} 分钟",
    "waiting for its volumes {#n} min": "等待存储卷 {n} 分钟",
    "starting {#n} min": "启动中 {n} 分钟",
    "{pod} finds no node (Unschedulable): {any:why}": "{pod} 没有可调度的节点（Unschedulable）：{why}",
    "{pod} waits for its volumes: {any:why}": "{pod} 等待存储卷：{why}",
    "{pod} is in {state}": "{pod} 处于 {state}",
    "{pod} is in {state}: {any:why}": "{pod} 处于 {state}：{why}",
    "{pod} is in {state} ({any:end})": "{pod} 处于 {state}（{end}）",
    "{pod} is in {state} ({any:end}): {any:why}": "{pod} 处于 {state}（{end}）：{why}",
    "its progress deadline is over ({any:why})": "已超过 progressDeadlineSeconds（{why}）",
    "the baseline {slot} could not take everyone back: {said:progress}": "基线 {slot} 无法接回所有人：{progress}",
    # What `plan` says.
    "{slot}: deployment {name}": "{slot}：deployment {name}",
    "{slot}: statefulset {name}": "{slot}：statefulset {name}",
    "{slot}: leaderworkerset {name}": "{slot}：leaderworkerset {name}",
    "{model} is put into it": "先部署 {model}",
    "servers {any:counts}": "副本数 {counts}",
    "{#idle} after the bake": "稳定期后 {idle}",
    # What `doctor` says.
    "{slot} serves everyone with {#ready} of the {#full} servers that replicas.full asks for": (
        "{slot} 以 replicas.full 所要求的 {full} 个副本中的 {ready} 个服务所有人"
    ),
    "Scale it up: a ramp would do so before it moves anybody": "请扩容：灰度会在移动任何人之前这样做",
    "{slot}: {kind} {name} still holds what ramp {ramp} wrote": "{slot}：{kind} {name} 仍保留着灰度 {ramp} 写入的内容",
    "The next ramp puts it back in the end, `tailramp uninstall` at once": (
        "下一次灰度结束时会恢复，`tailramp uninstall` 立即恢复"
    ),
    "Look at the pods of {kind} {name}": "请查看 {kind} {name} 的 Pod",
    # What would help.
    "Check the image's name and the pull secret": "请检查镜像名和拉取凭证",
    "Mend models.image": "请更正 models.image",
    "Load the image onto the node, or change imagePullPolicy": "请把镜像预置到节点，或修改 imagePullPolicy",
    "Read `kubectl logs --previous` of it: the model may not fit, or not be there": (
        "请看它的 `kubectl logs --previous`：模型可能放不下，或不存在"
    ),
    "Create the ConfigMap or Secret that it names": "请创建它引用的 ConfigMap 或 Secret",
    "Read `kubectl describe pod` of it": "请看它的 `kubectl describe pod`",
    "Read `kubectl describe` of it": "请看它的 `kubectl describe`",
    "Free or add nodes with such GPUs, or need fewer servers": "请腾出或增加这种 GPU 的节点，或减少所需副本",
    "Create the volume, or mend its name": "请创建存储卷，或更正其名称",
    "Raise the quota of the namespace, or need fewer servers": "请提高命名空间配额，或减少所需副本",
    "Look at its pods; raise progressDeadlineSeconds if loading takes longer": (
        "请查看它的 Pod；若加载更久，请调大 progressDeadlineSeconds"
    ),
    "Check that the server calls itself {model}, or mend models.served": (
        "请确认服务自称 {model}，或更正 models.served"
    ),
    "Look at the workload of {slot}, or raise slots.{other}.workload.ready": (
        "请查看 {slot} 的工作负载，或调大 slots.{other}.workload.ready"
    ),
    "not ready after {limit}: {said:progress}": "{limit} 后仍未就绪：{progress}",
}
