//! Network interfaces whose driver does not bring them up. The kernel then holds the RTNL lock, so
//! that no other interface can be brought up or given an address either.

use crate::pid1::press;
use crate::row::{Image, ROW, Root, Row, SHORT_INIT};

/// A card that leads to a server, and a keyboard.
const CARD: &[&str] = &[
    "-netdev",
    "user,id=n0",
    "-device",
    "virtio-net-pci,netdev=n0,romfile=",
    "-device",
    "virtio-keyboard-pci",
];

/// A root on a server, with an interface that is there before the other one and never comes up.
const SLOW: Row = Row {
    image: Image::OwnModules,
    args: CARD,
    root: Root::None,
    words: "root=10.0.2.2:/srv ip=dhcp coldplug.timeout=8 coldplug.modules=coldplug_nic",
    verdict: "no-root",
    limit_s: 30,
    ..ROW
};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "roots_whose_filesystem_the_kernel_lacks",
        quick: true,
        image: Image::Options(&["--modules", ""]),
        root: Root::None,
        words: "coldplug.root=virtiofs:export;9p:export;ubi0:x;10.0.2.2:/srv rootwait ip=dhcp",
        verdict: "mount-failed",
        says: &[
            "root virtiofs:export failed, trying 9p:export: filesystem virtiofs is not built into \
             this kernel, and no module adds it (virtiofs is not in the image)",
            // The kernel's index has no such module.
            "root 9p:export failed, trying ubi0:x: filesystem 9p is not built into this kernel, \
             and no module adds it",
            "root ubi0:x failed, trying 10.0.2.2:/srv: filesystem ubifs is not built into this \
             kernel, and no module adds it",
            "coldplug: filesystem nfs is not built into this kernel, and no module adds it (nfs is \
             not in the image)",
        ],
        limit_s: 8,
        ..ROW
    },
    Row {
        name: "a_root_whose_module_is_masked",
        image: Image::Full,
        root: Root::None,
        words: "root=export rootfstype=9p coldplug.mask=9p",
        verdict: "mount-failed",
        says: &[
            "filesystem 9p is not built into this kernel, and no module adds it (9p: masked by ",
        ],
        limit_s: 20,
        ..ROW
    },
    Row {
        name: "roots_whose_transport_the_image_lacks",
        quick: true,
        image: Image::FullOptions(&["--modules", "9p,ubifs"]),
        root: Root::None,
        words: "coldplug.root=9p:export;ubi0:x coldplug.mask=ubi rootwait",
        verdict: "mount-failed",
        says: &[
            "root 9p:export failed, trying ubi0:x: transport virtio of 9p is not built into this \
             kernel, and no module adds it (9pnet_virtio is not in the image)",
            "coldplug: filesystem ubifs is not built into this kernel, and no module adds it \
             (ubi: masked by ",
        ],
        limit_s: 8,
        ..ROW
    },
    Row {
        name: "a_root_whose_transport_is_masked",
        image: Image::Full,
        root: Root::None,
        words: "coldplug.root=9p:export;ubi0:x coldplug.mask=9pnet_virtio,ubifs rootwait",
        verdict: "mount-failed",
        says: &[
            "root 9p:export failed, trying ubi0:x: transport virtio of 9p is not built into this \
             kernel, and no module adds it (9pnet_virtio: masked by ",
            "coldplug: filesystem ubifs is not built into this kernel, and no module adds it \
             (ubifs: masked by ",
        ],
        limit_s: 20,
        ..ROW
    },
    Row {
        name: "flash_on_a_kernel_without_it",
        quick: true,
        image: Image::Options(&["--modules", ""]),
        root: Root::None,
        words: "root=ubi0:x ubi.mtd=0 rootwait",
        verdict: "mount-failed",
        says: &["coldplug: MTD (ubi.mtd=0) is not built into this kernel, and no module adds it"],
        limit_s: 8,
        ..ROW
    },
    Row {
        name: "an_interface_that_never_comes_up",
        quick: true,
        says: &["coldplug: timed out after 8 s waiting for slow0 to be brought up"],
        ..SLOW
    },
    Row {
        name: "the_prompt_after_an_interface_that_never_comes_up",
        set_up: |vm| vm.cmdline("coldplug.onfail=shell"),
        act: |machine| {
            machine.wait_for("coldplug: verdict=");
            machine.wait_for("coldplug> ");
            let mut terminal = machine.terminal();
            terminal.line("frobnicate");
            machine.wait_for("unknown command 'frobnicate'");
            terminal.line("poweroff");
        },
        says: &["waiting for slow0 to be brought up"],
        ..SLOW
    },
    Row {
        name: "the_next_root_after_an_interface_that_never_comes_up",
        root: Root::Disk,
        on_root: SHORT_INIT,
        // The module of the other card waits for the lock too, if it is not loaded before.
        words: "coldplug.root=10.0.2.2:/srv,wait=5;LABEL=coldplug-root \
                coldplug.modules=coldplug_nic coldplug.settle=root",
        verdict: "ok",
        says: &[
            "root 10.0.2.2:/srv failed, trying LABEL=coldplug-root: timed out after 5 s waiting \
             for slow0 to be brought up",
        ],
        ..SLOW
    },
    Row {
        name: "ctrl_alt_del_while_an_interface_comes_up",
        words: "root=10.0.2.2:/srv ip=dhcp rootwait coldplug.modules=coldplug_nic",
        act: |machine| {
            machine.wait_for("coldplug_nic: coming up");
            press(machine);
        },
        verdict: "interrupted",
        ..SLOW
    },
];
