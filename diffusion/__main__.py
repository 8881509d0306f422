from diffusion.cli import main

raise SystemExit(main())
