package org.ftcluster.cli.node;

import java.nio.file.Path;
import java.util.concurrent.Callable;
import org.ftcluster.cli.client.TlsOption;
import org.ftcluster.cli.console.CommonOptions;
import org.ftcluster.cli.console.Console;
import org.ftcluster.cli.console.ExitCode;
import org.ftcluster.protocol.security.NewCredentials;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Parameters;

/** {@code ftcluster keys}. */
@Command(
    name = "keys",
    description = {
      "Makes the keys of a new cluster: a folder that is copied to each of its machines, and to those"
          + " from which jobs are submitted. Whoever has it is a member, and can do what members"
          + " can."
    },
    footer = {
      "",
      "Example:",
      "  ftcluster keys ftcluster-keys",
      "  ftcluster coordinator --grpc 10.0.0.1:7600 --tls ftcluster-keys"
    })
public final class KeysCommand implements Callable<Integer> {
  @Mixin private CommonOptions common = new CommonOptions();

  @Parameters(paramLabel = "FOLDER", description = "A new folder, or an empty one.")
  private Path folder = Path.of("");

  /**
   * What it prints.
   *
   * @param keys their folder
   */
  record KeysLine(String keys) {}

  @Override
  public Integer call() {
    NewCredentials.create(folder);
    Console console = common.console();
    console.json(new KeysLine(folder.toAbsolutePath().normalize().toString()));
    console.talk(
        "Made the keys of a cluster; give them to its members by %s %s."
            .formatted(TlsOption.OPTION, folder));
    return ExitCode.DONE.code();
  }
}
