"""What ``start --observe`` says."""

from typing import Final

CATALOG: Final[dict[str, str]] = {
    "Watch and decide, and write nothing: somebody else moves the users.": "只观察、只作决定，不写入任何东西：流量由别人切换。",
    "With --observe: the present version's slot; else the first.": "与 --observe 一起使用：当前版本所在的槽位；不指定则为第一个。",
    "With --observe: the candidate's users, such as 5%.": "与 --observe 一起使用：候选版本占用户的比例，如 5%。",
    "With --observe no ramp is started and no worker is needed: this command itself watches, for as long as --wait says, and tells what a ramp would have decided. It ends with 3 if that would have been to take everyone back.": "使用 --observe 时不会开始灰度，也不需要 worker：由本命令自己观察，时长由 --wait 决定，并说出灰度会做出的决定。若决定是把所有人撤回，则以退出码 3 结束。",
    "--baseline and --share go with --observe: a ramp finds out for itself": "--baseline 和 --share 只与 --observe 一起使用：灰度会自己查明",
    "--override and --observe exclude each other: nothing is tried": "--override 与 --observe 不能同时使用：观察时不会尝试任何候选版本",
    "{route} cannot be observed": "无法观察 {route}",
    "{any:slots} answered nobody in the last 5 minutes: observing needs somebody to send users there": "{slots} 在最近 5 分钟内没有应答过任何人：要观察，需要有人把用户切到那里",
    "observes {route}, {any:journey}; users: {any:shares}. Nothing is written": "开始观察 {route}，{journey}；用户：{shares}。不写入任何东西",
    "would have rolled back after {time}: {said:why}. Nothing was written": "{time} 后本会回滚：{why}。没有写入任何东西",
    "would have succeeded after {time}. Nothing was written": "{time} 后本会成功。没有写入任何东西",
    "the wait is over at {said:place}, which waits for a person. Nothing was written": "等待时间到，位于 {place}，在等待人工处理。没有写入任何东西",
    "the wait is over at {said:place}: neither promoted nor rolled back. Nothing was written": "等待时间到，位于 {place}：既未转正也未回滚。没有写入任何东西",
}
