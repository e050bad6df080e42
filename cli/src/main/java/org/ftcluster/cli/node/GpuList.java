package org.ftcluster.cli.node;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import org.ftcluster.cli.console.CommandException;
import org.jspecify.annotations.Nullable;

/** Which GPUs {@code --gpus} means, and which the workers of a local run have. */
public final class GpuList {
  static final String OPTION = "--gpus";

  /** Which GPUs a process sees, numbered anew in this order. */
  public static final String VISIBLE = "CUDA_VISIBLE_DEVICES";

  private static final String ALL = "all";
  private static final Pattern NUMBERS = Pattern.compile("\\d{1,4}( *, *\\d{1,4})*");
  private static final Pattern COMMA = Pattern.compile(" *, *");

  private GpuList() {}

  /** What a worker says that it computes on, of a GPU as {@link #VISIBLE} names it. */
  public static String device(String gpu) {
    return "cuda:" + gpu;
  }

  /**
   * Each as {@link #VISIBLE} names it to the one process that is to have it.
   *
   * @param wanted {@code all}, or numbers with commas between them
   * @param visible that variable as this process has it, whose GPUs are those that are numbered;
   *     null where it isn't set, and the machine's are
   * @param inventory what the driver shows to this process; where it shows none, numbers are taken
   *     as they are
   * @throws CommandException when there is no such GPU
   */
  static List<String> parse(String wanted, @Nullable String visible, GpuInventory inventory) {
    if (wanted.equals(ALL)) {
      return all(visible, inventory);
    }
    if (!NUMBERS.matcher(wanted).matches()) {
      throw CommandException.badRequest(
          "%s is '%s'; give all, or numbers such as 0,2".formatted(OPTION, wanted));
    }
    List<String> gpus = new ArrayList<>();
    Set<Integer> seen = new HashSet<>();
    for (int number : COMMA.splitAsStream(wanted).mapToInt(Integer::parseInt).toArray()) {
      if (!seen.add(number)) {
        throw CommandException.badRequest("%s names GPU %d twice".formatted(OPTION, number));
      }
      gpus.add(visible == null ? ofMachine(number, inventory) : ofVisible(number, visible));
    }
    return gpus;
  }

  /**
   * One for each of so many workers on this machine, each as {@link #VISIBLE} names it.
   *
   * @throws CommandException when there are fewer
   */
  public static List<String> forWorkers(int workers) {
    return forWorkers(workers, System.getenv(VISIBLE), GpuInventory.ofThisMachine());
  }

  static List<String> forWorkers(int workers, @Nullable String visible, GpuInventory inventory) {
    if (inventory.count() == 0) {
      throw CommandException.badRequest(
          "resources.device is cuda, but no GPU can be used here: " + inventory.problem());
    }
    List<String> gpus = all(visible, inventory);
    if (gpus.size() < workers) {
      throw CommandException.badRequest(
          "resources.device is cuda, and --workers is %d, but there are %d GPUs, one for each"
              .formatted(workers, gpus.size()));
    }
    return gpus.subList(0, workers);
  }

  private static List<String> all(@Nullable String visible, GpuInventory inventory) {
    if (inventory.count() == 0) {
      throw CommandException.badRequest(
          "%s %s finds no GPU: %s".formatted(OPTION, ALL, inventory.problem()));
    }
    // The driver stops at the first name that it doesn't know.
    return visible == null
        ? IntStream.range(0, inventory.count()).mapToObj(String::valueOf).toList()
        : names(visible).stream().limit(inventory.count()).toList();
  }

  private static String ofMachine(int number, GpuInventory inventory) {
    if (inventory.count() > 0 && number >= inventory.count()) {
      throw CommandException.badRequest(
          "%s names GPU %d, but the driver has %d, counted from 0"
              .formatted(OPTION, number, inventory.count()));
    }
    return String.valueOf(number);
  }

  private static String ofVisible(int number, String visible) {
    List<String> names = names(visible);
    if (number >= names.size()) {
      throw CommandException.badRequest(
          "%s names GPU %d, but %s ('%s') has %d, counted from 0"
              .formatted(OPTION, number, VISIBLE, visible, names.size()));
    }
    return names.get(number);
  }

  /** What comes after a negative number isn't seen. */
  private static List<String> names(String visible) {
    return COMMA
        .splitAsStream(visible)
        .map(String::strip)
        .takeWhile(name -> !name.isEmpty() && !name.startsWith("-"))
        .toList();
  }
}
