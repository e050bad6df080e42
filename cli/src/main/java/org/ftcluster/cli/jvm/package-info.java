/** JVMs that run commands of ours, and end with the one that started them. */
@NullMarked
package org.ftcluster.cli.jvm;

import org.jspecify.annotations.NullMarked;
