package org.ftcluster.cli.model;

import java.util.List;
import java.util.Locale;
import java.util.stream.LongStream;
import org.ftcluster.cli.console.Console;
import org.ftcluster.protocol.security.Protection;
import org.ftcluster.worker.bench.CollectiveBenchmark;

/** Collectives among ranks of this process, as they are run. */
final class CollectiveTable {
  /** Buffers of 1 KB to 256 MB. */
  private static final List<Long> COLLECTIVE_BYTES =
      LongStream.iterate(1 << 10, bytes -> bytes <= 256 << 20, bytes -> bytes * 4).boxed().toList();

  private static final int MOST_RANKS = 4;

  /** The line that says what the others are held against. */
  record StreamLine(double streamGigabytesPerSecond) {}

  private CollectiveTable() {}

  static void print(int sockets, Protection protection, Console console) {
    double stream = CollectiveBenchmark.stream(2L << 30);
    console.json(new StreamLine(stream / 1e9));
    console.text(
        String.format(
            Locale.ROOT,
            """
            One stream over loopback moves %.2f GB/s.
            collective      ranks        bytes          seconds   bus GB/s   all ranks, %% of the stream\
            """,
            stream / 1e9));
    for (int ranks = 2; ranks <= MOST_RANKS; ranks++) {
      CollectiveBenchmark.run(
          List.of(CollectiveBenchmark.Kind.values()),
          ranks,
          sockets,
          protection,
          COLLECTIVE_BYTES,
          stream,
          line -> {
            console.json(line);
            console.text(
                String.format(
                    Locale.ROOT,
                    "%-15s %5d %12d %16.6f %10.2f %10.0f",
                    line.kind().word(),
                    line.ranks(),
                    line.bytes(),
                    line.seconds(),
                    line.busGigabytesPerSecond(),
                    line.sharePercent()));
          });
    }
  }
}
