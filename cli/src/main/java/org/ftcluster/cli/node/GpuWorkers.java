package org.ftcluster.cli.node;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.IntStream;
import org.ftcluster.cli.console.MemoryOption;
import org.ftcluster.cli.jvm.JvmFlags;
import org.ftcluster.cli.jvm.Launch;

/**
 * The workers of a machine, one a GPU.
 *
 * @param gpus each as {@code CUDA_VISIBLE_DEVICES} names it
 * @param options of all workers, as on a command line
 * @param clusterPorts one a GPU
 * @param collectivePorts one a GPU
 * @param memory of each, in bytes
 */
record GpuWorkers(
    List<String> gpus,
    List<String> options,
    PortRange clusterPorts,
    PortRange collectivePorts,
    long memory) {
  /** Of the machine's memory, the heap of a JVM that has it to itself. */
  private static final double HEAP_PERCENT = 25;

  /** In the order of their GPUs. */
  List<Launch> launches() {
    return IntStream.range(0, gpus.size()).mapToObj(this::launch).toList();
  }

  private Launch launch(int worker) {
    String device = GpuList.device(gpus.get(worker));
    List<String> arguments = new ArrayList<>();
    arguments.add("worker");
    arguments.addAll(options);
    arguments.addAll(List.of(WorkerCommand.DEVICE, device));
    arguments.addAll(List.of(clusterPorts.option(), String.valueOf(clusterPorts.of(worker))));
    arguments.addAll(List.of(collectivePorts.option(), String.valueOf(collectivePorts.of(worker))));
    arguments.addAll(MemoryOption.arguments(memory));
    double heapPercent = HEAP_PERCENT / gpus.size();
    return Launch.command(
        "worker-" + device,
        JvmFlags.tensor(),
        List.of(
            String.format(Locale.ROOT, "-XX:MaxRAMPercentage=%.2f", heapPercent),
            "-Dftcluster.log.prefix=[%s] ".formatted(device)),
        arguments,
        Map.of(GpuList.VISIBLE, gpus.get(worker)),
        null);
  }
}
